export interface Proxy {
  /** Where callers connect, on 127.0.0.1. */
  readonly port: number
  /** How many replies were thrown away so far. */
  readonly droppedCount: number
  /**
   * Each chunk of a reply is thrown away with this probability and its connection destroyed: the command has run, and the
   * caller never hears. 0 ends it.
   */
  dropReplies(share: number, random?: () => number): void
  /** Bytes take this much longer, in each direction. */
  delay(ms: number): void
  /** Bytes are held in both directions, until `resume`; connections stay, and new ones are accepted. */
  pause(): void
  resume(): void
  /** Destroys all connections, with what is held in them; new ones are refused until `mend`. */
  cut(): Promise<void>
  mend(): Promise<void>
  stop(): Promise<void>
}

export function startProxy(options: { port: number }): Promise<Proxy>
