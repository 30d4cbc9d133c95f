import type { Log } from './log/log.ts'

/**
 * Does `work` every so often, one at a time, without keeping the process for it. An outage is told once, and its end.
 * The result stops it, and waits for what is under way.
 */
export function repeat(work: () => Promise<unknown>, everyMs: number, log: Log, what: string): () => Promise<void> {
  let timer: NodeJS.Timeout
  let running: Promise<void> = Promise.resolve()
  let isStopped = false
  let hasFailed = false
  const once = async (): Promise<void> => {
    try {
      await work()
      if (hasFailed) log({ level: 'info', event: 'background', message: `${what} works again` })
      hasFailed = false
    } catch (error) {
      if (!hasFailed) log({ level: 'error', event: 'background', message: `${what} failed, and is tried again every ${everyMs} ms`, error: String(error) })
      hasFailed = true
    }
  }
  const later = (): void => {
    if (isStopped) return
    timer = setTimeout(() => {
      running = once().then(later)
    }, everyMs)
    timer.unref()
  }
  later()
  return async () => {
    isStopped = true
    clearTimeout(timer)
    await running
  }
}
