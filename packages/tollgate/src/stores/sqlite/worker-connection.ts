import { Worker } from 'node:worker_threads'
import type { Row } from '../sql/database.ts'
import { unavailable } from '../sql/unavailable.ts'
import type { Connection, Session } from './connection.ts'
import type { Op, Outcome } from './executor.js'
import type { Settings } from './worker.js'

/** More than SQLite itself may wait: for a disk that does not answer at all. */
const GRACE_MS = 1000
const CLOSE_MS = 5000
/** A query with too long an answer ends its thread, not the process. */
const HEAP_MB = 128

/** The connection in a thread of its own. A thread that is lost is replaced when the next call comes. */
export class WorkerConnection implements Connection {
  readonly #settings: Settings
  #thread: Thread | undefined

  constructor(settings: Settings) {
    this.#settings = settings
  }

  session(): Session {
    if (this.#thread === undefined || this.#thread.isLost) this.#thread = new Thread(this.#settings)
    return this.#thread
  }

  async close(): Promise<void> {
    await this.#thread?.close()
  }
}

interface Answer {
  readonly id: number
  readonly rows: Row[][]
  readonly error?: { readonly message: string; readonly code?: string }
}

interface Pending {
  resolve(outcome: Outcome): void
  reject(error: unknown): void
  timer: NodeJS.Timeout
}

class Thread implements Session {
  readonly #worker: Worker
  readonly #exited: Promise<void>
  readonly #pending = new Map<number, Pending>()
  #lastId = 0
  #lost: Error | undefined

  constructor(settings: Settings) {
    // Nothing of how this process was started (loaders, test runners) is for the thread.
    this.#worker = new Worker(new URL('./worker.js', import.meta.url), { workerData: settings, name: 'tollgate-sqlite', execArgv: [], resourceLimits: { maxOldGenerationSizeMb: HEAP_MB } })
    this.#worker.unref()
    this.#worker.on('message', ({ id, rows, error }: Answer) => {
      this.#settle(id)?.resolve(error === undefined ? { rows } : { rows, error: Object.assign(new Error(error.message), error) })
    })
    this.#worker.on('messageerror', (error) => this.#lose(error))
    this.#worker.on('error', (error) => this.#lose(error))
    this.#exited = new Promise((resolve) => {
      this.#worker.on('exit', (code) => {
        this.#lose(new Error(`its thread ended with code ${code}`))
        resolve()
      })
    })
  }

  get isLost(): boolean {
    return this.#lost !== undefined
  }

  send(ops: readonly Op[], deadline: number): Promise<Outcome> {
    return new Promise((resolve, reject) => {
      if (this.#lost !== undefined) throw this.#lost
      const id = ++this.#lastId
      const waitMs = Math.max(0, deadline - performance.now()) + GRACE_MS
      const timer = setTimeout(() => this.#lose(new Error(`no answer in ${Math.round(waitMs)} ms`)), waitMs)
      this.#pending.set(id, { resolve, reject, timer })
      // The process stays for an answer that somebody waits for, and only then.
      if (this.#pending.size === 1) this.#worker.ref()
      this.#worker.postMessage({ id, ops })
    })
  }

  async close(): Promise<void> {
    if (this.isLost) return
    this.#worker.ref()
    this.#worker.postMessage('close')
    const timer = setTimeout(() => this.#lose(new Error(`it did not close in ${CLOSE_MS} ms`)), CLOSE_MS)
    await this.#exited
    clearTimeout(timer)
  }

  #settle(id: number): Pending | undefined {
    const pending = this.#pending.get(id)
    if (pending === undefined) return undefined
    clearTimeout(pending.timer)
    this.#pending.delete(id)
    if (this.#pending.size === 0) this.#worker.unref()
    return pending
  }

  #lose(cause: Error): void {
    if (this.isLost) return
    this.#lost = unavailable(`SQLite: ${cause.message}`, { cause })
    for (const id of this.#pending.keys()) this.#settle(id)?.reject(this.#lost)
    void this.#worker.terminate()
  }
}
