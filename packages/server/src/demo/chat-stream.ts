import { randomUUID } from 'node:crypto'
import { type Reservation, TollgateError } from 'tollgate'
import { sseData, sseEvent, type SseSource } from '../http/sse.ts'
import type { ChatModel, ModelEvent, ModelRequest } from '../models/model.ts'
import type { DemoContext } from './context.ts'

/** How long a model may take, after its reader has left, to say that it had no more to say: it says so with its last word, or soon. */
const END_MS = 1000

/** The longest an answer may take. The reservation holds as long, so that it cannot expire under a stream. */
export const STREAM_MS = 300_000

export interface ChatStreamOptions extends Pick<DemoContext, 'log' | 'inBackground'> {
  readonly model: ChatModel
  readonly reservation: Reservation
  readonly request: Pick<ModelRequest, 'model' | 'messages'>
  /** Aborted when the client's connection closes. */
  readonly left: AbortSignal
  readonly failed: () => void
}

/** Waits for the first word, so that a model which cannot answer is an error and not an empty stream. */
export async function openChatStream(options: ChatStreamOptions): Promise<SseSource> {
  const stream = new ChatStream(options)
  await stream.begin()
  return stream
}

/**
 * One answer on its way: committed at its end, released when it breaks or its reader leaves; whichever is first. Who leaves
 * with the whole answer has had it, and it counts, or nobody would stay for the end.
 */
class ChatStream implements SseSource {
  readonly #options: ChatStreamOptions
  readonly #stop = new AbortController()
  #events: AsyncIterator<ModelEvent> | undefined
  readonly #id = `chatcmpl-${randomUUID()}`
  readonly #createdAtSeconds = Math.floor(Date.now() / 1000)
  /** What the model says next, as far as it was asked. */
  #coming: Promise<IteratorResult<ModelEvent>> | undefined
  #usage: object | null = null
  #hasSpoken = false
  #hasEnded = false
  #leaving: Promise<void> | undefined
  #settling: Promise<void> | undefined

  constructor(options: ChatStreamOptions) {
    this.#options = options
  }

  async begin(): Promise<void> {
    const { model, request, left } = this.#options
    try {
      const signal = AbortSignal.any([this.#stop.signal, AbortSignal.timeout(STREAM_MS)])
      left.addEventListener('abort', () => void this.cancel(), { once: true })
      if (left.aborted) this.#stop.abort()
      this.#events = model.reply({ ...request, isStreamed: true, signal })[Symbol.asyncIterator]()
      await this.#upcoming()
    } catch (error) {
      await this.#settle('release')
      if (left.aborted) throw new TollgateError('ABORTED', 'the client left', { cause: error })
      throw error
    }
  }

  async next(): Promise<string | null> {
    if (this.#hasEnded) return null
    try {
      for (;;) {
        const { done, value } = await this.#upcoming()
        this.#coming = undefined
        if (done) break
        if ('text' in value) {
          this.#hasSpoken = true
          return this.#chunk({ content: value.text }, null)
        }
        this.#usage = { prompt_tokens: value.usage.promptTokens, completion_tokens: value.usage.completionTokens, total_tokens: value.usage.promptTokens + value.usage.completionTokens }
      }
    } catch (error) {
      return this.#break(error)
    }
    this.#hasEnded = true
    // Before the last byte, not after: a client that has read the end finds the message counted.
    await this.#settle('commit')
    return this.#chunk({}, 'stop') + sseData('[DONE]')
  }

  cancel(): Promise<void> {
    this.#leaving ??= this.#leave()
    this.#options.inBackground(this.#leaving)
    return this.#leaving
  }

  async #leave(): Promise<void> {
    const isWhole = this.#hasSpoken && (await this.#hasNoMore())
    this.#stop.abort()
    await this.#settle(isWhole ? 'commit' : 'release')
  }

  /** Whether the word that was handed out last was the last one: only what the model says next can tell. */
  async #hasNoMore(): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<undefined>((resolve) => (timer = setTimeout(resolve, END_MS, undefined)))
    try {
      const next = await Promise.race([this.#upcoming(), late])
      return next !== undefined && (next.done === true || !('text' in next.value))
    } catch {
      return false
    } finally {
      clearTimeout(timer)
    }
  }

  #upcoming(): Promise<IteratorResult<ModelEvent>> {
    return (this.#coming ??= this.#events!.next())
  }

  async #break(error: unknown): Promise<string> {
    this.#hasEnded = true
    this.#options.failed()
    await this.#settle('release')
    if (!this.#stop.signal.aborted && !this.#options.left.aborted) {
      this.#options.log({ level: 'error', event: 'error', message: error instanceof Error ? error.message : String(error), route: '/api/chat', stack: error instanceof Error ? error.stack : undefined })
    }
    return sseEvent('error', { code: 'MODEL_FAILED', message: 'The answer broke off. The message was not counted.' })
  }

  #settle(how: 'commit' | 'release'): Promise<void> {
    if (this.#settling) return this.#settling
    this.#settling = this.#options.reservation[how]().then(
      () => {},
      // Too late to tell the client: the hold ends by itself.
      (error: unknown) => this.#options.log({ level: 'error', event: 'error', message: `a chat could not be settled: ${String(error)}`, route: '/api/chat' }),
    )
    this.#options.inBackground(this.#settling)
    return this.#settling
  }

  #chunk(delta: { content?: string }, finishReason: string | null): string {
    return sseData({
      id: this.#id,
      object: 'chat.completion.chunk',
      created: this.#createdAtSeconds,
      model: this.#options.request.model,
      choices: [{ index: 0, delta, finish_reason: finishReason }],
      ...(finishReason !== null && { usage: this.#usage }),
    })
  }
}
