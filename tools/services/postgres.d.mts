export interface PostgresServer {
  readonly url: string
  /** Stops and starts again, on the same port with the same data. */
  restart(): Promise<void>
  /** Ends all its processes at once, by SIGKILL. */
  kill(): Promise<void>
  /** After `kill`: on the same port with the same data, which it repairs first. */
  start(): Promise<void>
  stop(): Promise<void>
}

/** `isDurable`: what was committed is there after `kill`. */
export function startPostgres(options?: { isDurable?: boolean }): Promise<PostgresServer>
