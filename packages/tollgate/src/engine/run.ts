import { invalidRequest, show, TollgateError } from '../errors/index.ts'
import { DEFAULT_TTL_MS, validateAmounts } from '../compile/request.ts'
import type { Engine } from './engine.ts'
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

/** Reserves, runs, and commits or releases. The hold is extended for as long as the work takes. */
export async function run<T>(engine: Engine, request: TollgateRequest, work: (spend: Spend) => T | Promise<T>): Promise<RunResult<T>> {
  if (typeof work !== 'function') throw invalidRequest('work', `${show(work)} cannot be run; use a function`)
  const decision = await engine.decide(request, 'reserve')
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
        // Settled, or the store is down: then the hold ends when it said it would.
        () => {},
      )
    })
  }
  extendLater()
  return () => {
    isHeld = false
    cancel()
  }
}
