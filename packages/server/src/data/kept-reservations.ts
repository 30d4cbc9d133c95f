import { readFileSync } from 'node:fs'
import { open, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { type Clock, MemoryStore } from 'tollgate'
import { z } from 'zod'
import type { Log } from '../log/log.ts'
import { StartupError } from '../startup-error.ts'

const FILE = 'reservations.json'
/** What a process that is killed can lose; and one of very many reservations writes for so small a part of its time. */
const EVERY_MS = 1000
const WRITING_SHARE = 0.05

const kept = z.object({ version: z.literal(1), namespaces: z.record(z.string(), z.string()) })

/**
 * Counters in memory whose open reservations, and what stands for capacity, outlive the process: written to a file of the
 * data folder at most a second after each change, and when the process ends.
 */
export class KeptReservations {
  readonly #path: string
  readonly #clock: Pick<Clock, 'now'>
  readonly #log: Log
  readonly #stores = new Map<string, MemoryStore>()
  #written = 0
  #writing: Promise<void> | undefined
  #timer: NodeJS.Timeout | undefined
  #isClosed = false

  /** @throws StartupError that names the file and the fix */
  constructor(folder: string, clock: Pick<Clock, 'now'>, log: Log) {
    this.#path = join(folder, FILE)
    this.#clock = clock
    this.#log = log
    for (const [namespace, text] of Object.entries(readFile(this.#path))) this.#resume(namespace, text)
    this.#written = this.#changes
    this.#writeIn(EVERY_MS)
  }

  store(namespace: string): MemoryStore {
    let store = this.#stores.get(namespace)
    if (!store) this.#stores.set(namespace, (store = new MemoryStore()))
    return store
  }

  /** Writes what is open now, if anything changed since the last time. One at a time: they share a draft. */
  async write(): Promise<void> {
    await this.#writing?.catch(() => {})
    await (this.#writing ??= this.#write().finally(() => (this.#writing = undefined)))
  }

  async #write(): Promise<void> {
    const changes = this.#changes
    if (changes === this.#written) return
    const now = this.#clock.now()
    const namespaces = Object.fromEntries([...this.#stores].map(([namespace, store]) => [namespace, store.keep(now)]))
    const draft = `${this.#path}.new`
    const file = await open(draft, 'w', 0o600)
    try {
      await file.writeFile(JSON.stringify({ version: 1, namespaces }))
      await file.datasync()
    } finally {
      await file.close()
    }
    await rename(draft, this.#path)
    this.#written = changes
  }

  /** At the end, and no later. */
  async close(): Promise<void> {
    this.#isClosed = true
    clearTimeout(this.#timer)
    await this.#tryToWrite()
  }

  #resume(namespace: string, text: string): void {
    try {
      this.store(namespace).resume(text, this.#clock.now())
    } catch (error) {
      throw unreadable(this.#path, error)
    }
  }

  get #changes(): number {
    let changes = 0
    for (const store of this.#stores.values()) changes += store.changes
    return changes
  }

  #writeIn(ms: number): void {
    if (this.#isClosed) return
    this.#timer = setTimeout(() => {
      const startedAt = performance.now()
      void this.#tryToWrite().then(() => this.#writeIn(Math.max(EVERY_MS, (performance.now() - startedAt) / WRITING_SHARE)))
    }, ms)
    this.#timer.unref()
  }

  async #tryToWrite(): Promise<void> {
    try {
      await this.write()
    } catch (error) {
      this.#log({ level: 'error', event: 'unwritten', message: `${this.#path} could not be written: a restart would forget open reservations`, error: String(error) })
    }
  }
}

function readFile(path: string): Record<string, string> {
  try {
    return kept.parse(JSON.parse(readFileSync(path, 'utf8'))).namespaces
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {}
    throw unreadable(path, error)
  }
}

function unreadable(path: string, error: unknown): StartupError {
  return new StartupError(`${path} cannot be used (${(error as Error).message}). It holds open reservations, and what stands for capacity: restore it from a backup, or move it away to start without them.`)
}
