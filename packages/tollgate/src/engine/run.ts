import { createHash } from 'node:crypto'
import { invalidRequest, show, TollgateError } from '../errors/index.ts'
import { DEFAULT_TTL_MS, validateAmounts } from '../compile/request.ts'
import type { Engine } from './engine.ts'
import { isUnavailable } from './guard.ts'
import { inProgress } from './receipts.ts'
import type { Decision, Names, Settlement, TollgateRequest } from './types.ts'

/** `spend.set({ tokens: 834 })` says what a run used; without it the estimate is committed. */
export interface Spend<N extends Names = Names> {
  readonly decision: Decision<N>
  /** @throws INVALID_REQUEST, UNKNOWN_METER */
  set(amounts: { readonly [M in N['meter']]?: number }): void
}

export type RunResult<T, N extends Names = Names> =
  | { allowed: true; decision: Decision<N>; value: T; settlement: Settlement }
  | { allowed: false; decision: Decision<N> }

/**
 * Reserves, runs, and commits or releases. The hold is extended for as long as the work takes. With an idempotency key work is
 * done once: what failed may be tried again with it. Several processes know that of each other by a counter store that keeps
 * receipts, as Redis does, or by shared `receipts`.
 */
export async function run<T>(engine: Engine, request: TollgateRequest, work: (spend: Spend) => T | Promise<T>): Promise<RunResult<T>> {
  if (typeof work !== 'function') throw invalidRequest('work', `${show(work)} cannot be run; use a function`)
  const decision = await reserveAnew(engine, request)
  if (!decision.allowed) return { allowed: false, decision }
  const { id } = decision.reservation!
  const { vocabulary } = engine.config.catalog.find(decision.plan)
  const amounts: Record<string, number> = {}
  const spend: Spend = {
    decision,
    set(actual) {
      validateAmounts(actual, vocabulary.meters)
      Object.assign(amounts, actual)
    },
  }
  const letGo = keepHold(engine, id, request.ttlMs ?? DEFAULT_TTL_MS)
  let value: T
  try {
    value = await work(spend)
  } catch (error) {
    letGo()
    // The work's own error matters more; a hold that cannot be released now expires.
    await engine.settling.settle(id, 'release').catch(() => {})
    throw error
  }
  letGo()
  return { allowed: true, decision, value, settlement: await commitOnce(engine, id, amounts) }
}

/** With one idempotency key, work that fails can be begun again so often in a day. */
const MAX_ATTEMPTS = 100

/**
 * A reservation for work that is still to be done. A key may be of work that is under way, or was done: then there is
 * none, as nothing is kept of what work returned. After work that failed, or never ended, it is a new one.
 * @throws IDEMPOTENCY_IN_PROGRESS, ALREADY_SETTLED
 */
async function reserveAnew(engine: Engine, request: TollgateRequest): Promise<Decision> {
  if (request?.idempotencyKey === undefined) return engine.decide(request, 'reserve')
  let asked = request
  for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
    const { decision, isRepeat } = await engine.decideOnce(asked, 'reserve')
    if (!isRepeat || !decision.allowed) return decision
    await assertFailed(engine, decision.reservation!.id)
    asked = { ...request, idempotencyKey: `run ${attempt + 1} ${digestOf(request.idempotencyKey)}` }
  }
  throw new TollgateError('IDEMPOTENCY_CONFLICT', `idempotencyKey: the work failed ${MAX_ATTEMPTS} times; use a new key`, { field: 'idempotencyKey' })
}

/** Whether the work of an earlier attempt was done, or is under way, its reservation says. */
async function assertFailed(engine: Engine, id: string): Promise<void> {
  try {
    // No hold is ever shortened.
    await engine.settling.settle(id, 'extend', { ttlMs: 1 })
  } catch (error) {
    if (!TollgateError.isInstance(error)) throw error
    const isReleased = error.code === 'ALREADY_SETTLED' && (error.details!['reservation'] as Settlement).status === 'released'
    if (isReleased || error.code === 'RESERVATION_EXPIRED' || error.code === 'UNKNOWN_RESERVATION') return
    throw error
  }
  throw inProgress()
}

const digestOf = (key: string): string => createHash('sha256').update(key).digest('base64url')

/** Work that settled by itself has said what it used. */
async function commitOnce(engine: Engine, id: string, amounts: Record<string, number>): Promise<Settlement> {
  try {
    return await engine.settling.settle(id, 'commit', { amounts })
  } catch (error) {
    if (TollgateError.isInstance(error) && error.code === 'ALREADY_SETTLED') return error.details!.reservation as Settlement
    throw error
  }
}

/** Extends a hold every half of its time, until it is let go or was settled. */
function keepHold(engine: Engine, id: string, ttlMs: number): () => void {
  let cancel = (): void => {}
  let isHeld = true
  const extendLater = (): void => {
    cancel = engine.config.clock.after(Math.ceil(ttlMs / 2), () => {
      engine.settling.settle(id, 'extend', { ttlMs }).then(
        () => {
          if (isHeld) extendLater()
        },
        (error: unknown) => {
          // Settled, it needs no hold any more. A store that is away may be back before the hold ends.
          if (isHeld && isUnavailable(error)) extendLater()
        },
      )
    })
  }
  extendLater()
  return () => {
    isHeld = false
    cancel()
  }
}
