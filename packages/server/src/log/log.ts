/** One line of the log. Never content, never secrets: only what the code puts here by name. */
export interface LogLine {
  level: 'info' | 'warn' | 'error'
  /** What happened, for programs: `denial`, `error`, `listening` … */
  event: string
  /** What happened, for people. */
  message: string
  [field: string]: unknown
}

export type Log = (line: LogLine) => void

/** JSON lines. `time` is the host's, also where the demo clock runs ahead: that one is for limits, not for logs. */
export function jsonLog(write: (text: string) => unknown = (text) => process.stdout.write(text)): Log {
  return (line) => void write(`${JSON.stringify({ time: new Date().toISOString(), ...line })}\n`)
}
