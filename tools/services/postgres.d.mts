export interface PostgresServer {
  readonly url: string
  /** Stops and starts again, on the same port with the same data. */
  restart(): Promise<void>
  stop(): Promise<void>
}

export function startPostgres(): Promise<PostgresServer>
