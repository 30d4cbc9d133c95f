import { sseComment, sseEvent } from '../http/sse.ts'

/** A client that reads more slowly than this many events come misses the oldest; the usage it gets is current all the same. */
const MAX_QUEUED = 64

/** One client that watches one subject. Its messages are pulled as fast as it reads, so a slow one holds up nobody. */
export class Subscription {
  /** Of the API key that watches. */
  readonly keyId: string
  readonly #usage: () => Promise<unknown>
  readonly #heartbeatMs: number
  readonly #onClose: () => void
  readonly #queue: string[] = []
  #dropped = 0
  // Of usage only the latest matters, so it is not queued: a flag, and read when it is sent.
  #isUsageDue = true
  #lastUsage = ''
  #isClosed = false
  #wake: () => void = () => {}

  constructor(keyId: string, usage: () => Promise<unknown>, heartbeatMs: number, onClose: () => void) {
    this.keyId = keyId
    this.#usage = usage
    this.#heartbeatMs = heartbeatMs
    this.#onClose = onClose
  }

  push(event: string, data: unknown): void {
    if (this.#queue.length >= MAX_QUEUED) {
      this.#queue.shift()
      this.#dropped++
    }
    this.#queue.push(sseEvent(event, data))
    this.usageChanged()
  }

  usageChanged(): void {
    this.#isUsageDue = true
    this.#wake()
  }

  /** What to send next, a heartbeat when nothing happens; `null` at the end. */
  async next(): Promise<string | null> {
    while (!this.#isClosed) {
      if (this.#dropped > 0) {
        const dropped = this.#dropped
        this.#dropped = 0
        return sseComment(`${dropped} events were dropped`)
      }
      const message = this.#queue.shift()
      if (message !== undefined) return message
      if (this.#isUsageDue) {
        this.#isUsageDue = false
        const usage = await this.#changedUsage()
        if (usage !== undefined) return usage
      } else if (!(await this.#happens())) {
        // What time changed, or another process. A database that does not answer now is asked again next time.
        return (await this.#changedUsage().catch(() => undefined)) ?? sseComment('still here')
      }
    }
    return null
  }

  /** `undefined` where it is as it was told last. */
  async #changedUsage(): Promise<string | undefined> {
    const usage = await this.#usage()
    // It may have been closed meanwhile, because the subject was erased.
    if (usage === undefined || this.#isClosed) return undefined
    const event = sseEvent('usage', usage)
    if (event === this.#lastUsage) return undefined
    return (this.#lastUsage = event)
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#wake()
    this.#onClose()
  }

  /** Whether something happened before the heartbeat was due. */
  #happens(): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), this.#heartbeatMs)
      this.#wake = () => {
        clearTimeout(timer)
        resolve(true)
      }
    })
  }
}
