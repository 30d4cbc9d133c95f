import { createHmac } from 'node:crypto'
import { invalidRequest, TollgateError } from '../errors/index.ts'
import type { Clock } from './clock.ts'

/** An answer is remembered this long. */
export const RECEIPT_MS = 86_400_000

interface Receipt<T> {
  fingerprint: string
  expiresAt: number
  subject: string | undefined
  /** Absent while the first request is under way. */
  answer?: T
}

/** Where answers are kept by idempotency key. */
export interface ReceiptStore<T> {
  /**
   * @param fingerprint tells requests apart; never the request itself.
   * @param run is given an id of what the request does, where every attempt after an error, or a crash, has the same
   * @param isOutdated says of a remembered answer that it is to be found anew
   * @param subject whose answer it is: it is forgotten with the subject
   * @throws IDEMPOTENCY_CONFLICT, IDEMPOTENCY_IN_PROGRESS, OVERLOADED, and what `run` throws.
   */
  once(key: string, fingerprint: string, run: (effect?: string) => T | Promise<T>, isOutdated?: (answer: T) => boolean, subject?: string): Promise<{ answer: T; isReplay: boolean }>
  /** Forgets the answers that were given with this subject, and their keys, which are free again. */
  erase?(subject: string): void | Promise<void>
}

/**
 * Idempotency keys: the same key with the same request gives the first answer again. A denial is an answer; an error is
 * none, so the key is free again. Bounded: at the bound a new key is refused, because forgetting one could charge twice.
 */
export class Receipts<T> implements ReceiptStore<T> {
  readonly #clock: Clock
  readonly #max: number
  readonly #receipts = new Map<string, Receipt<T>>()

  constructor(clock: Clock, max = 100_000) {
    this.#clock = clock
    this.#max = max
  }

  async once(key: string, fingerprint: string, run: () => T | Promise<T>, isOutdated: (answer: T) => boolean = () => false, subject?: string): Promise<{ answer: T; isReplay: boolean }> {
    const now = this.#clock.now()
    this.#forget(now)
    const known = this.#receipts.get(key)
    if (known && known.expiresAt > now) {
      const answer = answerOf(known, fingerprint)
      if (!isOutdated(answer)) return { answer, isReplay: true }
      this.#receipts.delete(key)
    }
    if (this.#receipts.size >= this.#max) {
      const [oldest] = this.#receipts.values()
      throw new TollgateError('OVERLOADED', `${this.#max} idempotency keys are remembered; raise maxReceipts, or send fewer keys`, { retryAfterMs: oldest!.expiresAt - now })
    }
    const receipt: Receipt<T> = { fingerprint, expiresAt: now + RECEIPT_MS, subject }
    this.#receipts.set(key, receipt)
    try {
      receipt.answer = await run()
    } catch (error) {
      this.#receipts.delete(key)
      throw error
    }
    return { answer: receipt.answer, isReplay: false }
  }

  /** Looks at all of them: an erasure is rare. What is under way keeps its key until it has an answer. */
  erase(subject: string): void {
    for (const [key, receipt] of this.#receipts) if (receipt.subject === subject && 'answer' in receipt) this.#receipts.delete(key)
  }

  /** All are kept equally long, so the oldest come first. */
  #forget(now: number): void {
    for (const [key, { expiresAt }] of this.#receipts) {
      if (expiresAt > now) return
      this.#receipts.delete(key)
    }
  }
}

function answerOf<T>(receipt: Receipt<T>, fingerprint: string): T {
  if (receipt.fingerprint !== fingerprint) throw usedOtherwise()
  if (!('answer' in receipt)) throw inProgress()
  return receipt.answer as T
}

export function usedOtherwise(): TollgateError {
  return new TollgateError('IDEMPOTENCY_CONFLICT', 'idempotencyKey: it was used with another request; use a new key for a new request', { field: 'idempotencyKey' })
}

export function inProgress(): TollgateError {
  return new TollgateError('IDEMPOTENCY_IN_PROGRESS', 'idempotencyKey: the first request with it has no answer yet; try again in a moment', { field: 'idempotencyKey', retryAfterMs: 1000 })
}

/** Tells requests apart without keeping them: the same for the same values in any order of keys. */
export function fingerprintOf(value: unknown, secret: string | Uint8Array): string {
  return createHmac('sha256', secret).update(JSON.stringify(sorted(value)) ?? '').digest('base64url')
}

/** Requests are flat; what is nested deeper is no request, and may be endless. */
const MAX_DEPTH = 32

function sorted(value: unknown, depth = 0): unknown {
  if (typeof value === 'bigint') throw invalidRequest('request', `${value}n is a BigInt, which no request has; use a number`)
  if (typeof value !== 'object' || value === null) return value
  if (depth > MAX_DEPTH) throw invalidRequest('request', `it is nested more than ${MAX_DEPTH} deep; send a plain request`)
  if (Array.isArray(value)) return value.map((entry) => sorted(entry, depth + 1))
  return Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([key, entry]) => [key, sorted(entry, depth + 1)]))
}
