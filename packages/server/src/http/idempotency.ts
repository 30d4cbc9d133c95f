import { createHash, createHmac, randomUUID } from 'node:crypto'
import { type ReceiptStore, TollgateError } from 'tollgate'

/** An answer as it was given. */
export interface Remembered {
  readonly status: number
  readonly headers: readonly (readonly [string, string])[]
  readonly body: string
}

/** One attempt at what a request asks for. */
export interface Attempt {
  /** Names what is done: every attempt of the same request with the same key has the same. */
  readonly effect: string
  /** Says that an answer that has begun went wrong: it is then not remembered. */
  failed(): void
}

const MAX_KEY = 256

/** The key of a request: of its header, else of its body. */
export function idempotencyKeyOf(header: string | undefined, body: unknown): string | undefined {
  if (header === undefined) return (body as { idempotencyKey?: string } | undefined)?.idempotencyKey
  if (header.length >= 1 && header.length <= MAX_KEY) return header
  throw new TollgateError('INVALID_REQUEST', `Idempotency-Key: use 1 to ${MAX_KEY} characters`, { field: 'Idempotency-Key' })
}

/** A name for the effect of a key that outlives the answers that are kept: money is not given twice, however late. */
export function lastingEffectOf(key: string): string {
  return createHash('sha256').update(key).digest('base64url')
}

/** Tells requests apart without keeping them: the same JSON in another order, or with other spaces, is the same request. */
export function fingerprintOf(secret: string, target: string, body: unknown): string {
  const { idempotencyKey: _, ...rest } = (body ?? {}) as Record<string, unknown>
  return createHmac('sha256', secret).update(`${target}\n${JSON.stringify(sorted(rest))}`).digest('base64url')
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  return Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([name, member]) => [name, sorted(member)])
}

/**
 * Answers a request once: the same key gives the same answer again. What `run` returns is an answer, a denial too; what it
 * throws, a stream that breaks, and one of which `run` says that it failed, is none, and the key is free again. An answer is
 * given when it has been written down; a stream is handed on meanwhile, and ends when it has. `secret` is a member of a JSON
 * answer that only the first one has: it is not kept. With its `subject` an answer is erased.
 */
export async function answerOnce(receipts: ReceiptStore<Remembered>, key: string, fingerprint: string, run: (attempt: Attempt) => Promise<Response>, { secret, subject }: { secret?: string | undefined; subject?: string | undefined } = {}): Promise<Response> {
  let start: (response: Response) => void
  const streaming = new Promise<Response>((resolve) => {
    start = resolve
  })
  let own: Remembered | undefined
  const remembered = receipts.once(key, fingerprint, async (effect = randomUUID()) => {
    let hasFailed = false
    const response = await run({
      effect,
      failed: () => {
        hasFailed = true
      },
    })
    if (!isStream(response)) {
      own = { status: response.status, headers: [...response.headers], body: await response.text() }
      return secret === undefined ? own : { ...own, body: without(own.body, secret) }
    }
    const { copy, body } = listenedTo(response, () => remembered)
    start(copy)
    const answer = { status: response.status, headers: [...response.headers], body: await body }
    if (hasFailed) throw new TollgateError('ABORTED', 'the answer broke off')
    return answer
  }, undefined, subject)
  const whole = remembered.then(({ answer, isReplay }) => (isReplay ? responseOf(answer, { 'Idempotency-Replayed': 'true' }) : own ? responseOf(own) : streaming))
  return Promise.race([streaming, whole])
}

function without(body: string, member: string): string {
  const { [member]: _, ...rest } = JSON.parse(body) as Record<string, unknown>
  return JSON.stringify(rest)
}

const isStream = (response: Response) => response.headers.get('Content-Type')?.startsWith('text/event-stream') ?? false

function responseOf({ status, headers, body }: Remembered, more: Record<string, string> = {}): Response {
  const response = new Response(status === 204 ? null : body, { status, headers: headers as [string, string][] })
  for (const name in more) response.headers.set(name, more[name]!)
  return response
}

/** The response with the same body, whose text is kept; it rejects when the stream fails or its reader leaves. It ends after `written`. */
function listenedTo(response: Response, written: () => Promise<unknown>): { copy: Response; body: Promise<string> } {
  const reader = response.body!.getReader()
  const decoder = new TextDecoder()
  let text = ''
  let finish: (text: string) => void
  let fail: (reason: unknown) => void
  const body = new Promise<string>((resolve, reject) => {
    finish = resolve
    fail = reject
  })
  const stream = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await reader.read()
          if (!done) {
            text += decoder.decode(value, { stream: true })
            return controller.enqueue(value)
          }
        } catch (error) {
          fail(error)
          throw error
        }
        finish(text)
        // What cannot be remembered was answered all the same.
        await written().catch(() => {})
        controller.close()
      },
      async cancel(reason) {
        fail(new TollgateError('ABORTED', 'the client left before the end of the answer'))
        await reader.cancel(reason)
      },
    },
    { highWaterMark: 0 },
  )
  return { copy: new Response(stream, response), body }
}
