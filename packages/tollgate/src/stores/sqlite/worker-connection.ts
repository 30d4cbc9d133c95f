import { Worker } from 'node:worker_threads'
import { unavailable } from '../sql/unavailable.ts'
import type { Connection } from './database.ts'
import type { Op, Outcome } from './executor.js'

export interface WorkerSettings {
  driver: string
  path: string
  busyTimeoutMs: number
  synchronous: string
  cacheKb: number
}

interface Pending {
  resolve(outcome: Outcome): void
  reject(error: unknown): void
  timer: NodeJS.Timeout
}

/** The connection in a thread of its own. A thread that is lost is replaced when the next call comes. */
export class WorkerConnection implements Connection {
  readonly #settings: WorkerSettings
  #thread: Thread | undefined

  constructor(settings: WorkerSettings) {
    this.#settings = settings
  }

  send(ops: readonly Op[], timeoutMs: number): Promise<Outcome> {
    if (this.#thread === undefined || this.#thread.isLost) this.#thread = new Thread(this.#settings)
    return this.#thread.send(ops, timeoutMs)
  }

  async close(): Promise<void> {
    await this.#thread?.close()
  }
}

class Thread {
  readonly #worker: Worker
  readonly #pending = new Map<number, Pending>()
  #lastId = 0
  #exited: Promise<void>
  isLost = false

  constructor(settings: WorkerSettings) {
    this.#worker = new Worker(new URL('./worker.js', import.meta.url), { workerData: settings, name: 'tollgate-sqlite' })
    this.#worker.unref()
    this.#worker.on('message', ({ id, ...outcome }: { id: number } & Outcome) => {
      this.#settle(id)?.resolve({ ...outcome, ...(outcome.error === undefined ? {} : { error: revive(outcome.error) }) })
    })
    this.#worker.on('error', (error) => this.#lose(error))
    this.#exited = new Promise((resolve) => {
      this.#worker.on('exit', (code) => {
        this.#lose(new Error(`the SQLite thread ended with code ${code}`))
        resolve()
      })
    })
  }

  send(ops: readonly Op[], timeoutMs: number): Promise<Outcome> {
    return new Promise((resolve, reject) => {
      const id = ++this.#lastId
      // A second more than SQLite itself may wait: this is for a disk that does not answer at all.
      const timer = setTimeout(() => this.#lose(new Error(`no answer in ${timeoutMs + 1000} ms`)), timeoutMs + 1000)
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
    await this.#exited
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
    this.isLost = true
    const error = unavailable(`SQLite: ${cause.message}`, { cause })
    for (const id of this.#pending.keys()) this.#settle(id)?.reject(error)
    void this.#worker.terminate()
  }
}

/** Errors arrive as plain data. */
function revive(error: unknown): Error {
  const { message, ...rest } = error as { name: string; message: string; code?: string }
  return Object.assign(new Error(message), rest)
}
