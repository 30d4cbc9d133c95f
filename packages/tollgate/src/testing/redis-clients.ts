// Clients for this repository's own tests; not part of the package.
import type { IoredisClient } from '../stores/redis/client.ts'

/** A client of ioredis's shape, of which every command is answered by `answer`. */
export function clientThat(answer: (command: string, ...args: string[]) => Promise<unknown>): IoredisClient {
  return new Proxy({} as IoredisClient, {
    get: (_, name) => (typeof name === 'string' && name.endsWith('Buffer') ? (...args: string[]) => answer(name.slice(0, -'Buffer'.length).toUpperCase(), ...args) : undefined),
  })
}
