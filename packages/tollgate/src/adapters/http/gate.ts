/** What all middlewares share: from a framework's arguments to a verdict, and from the response's end to its settlement. */
import type { CommitOptions, Decision, Names, PlanView, Settlement, TollgateRequest } from '../../engine/types.ts'
import { invalidDefinition, show, TollgateError } from '../../errors/index.ts'
import { negotiateLocale } from '../../messages/index.ts'
import { decisionHeaders, type HeaderOptions, type HeaderRecord } from './headers.ts'
import { type Problem, problemOf, problemOfError } from './problem.ts'

/** What a middleware asks of an engine: `createTollgate` makes one. */
export interface HttpEngine<N extends Names = Names> {
  consume(request: TollgateRequest<N>): Promise<Decision<N>>
  reserve(request: TollgateRequest<N>): Promise<Decision<N>>
  commit(id: string, options?: CommitOptions<N>): Promise<Settlement>
  release(id: string): Promise<Settlement>
  plan(id: N['plan']): PlanView | undefined
}

type Amounts<N extends Names> = NonNullable<CommitOptions<N>['amounts']>

/** `Context` is what the framework hands to a handler, `Answer` what a handler gives back. */
export interface MiddlewareOptions<N extends Names, Context extends readonly unknown[], Answer> extends HeaderOptions {
  /** What to ask the engine for. `null` lets the request pass without asking. A `locale` wins over the `Accept-Language` header. */
  request: (...context: Context) => TollgateRequest<N> | null | Promise<TollgateRequest<N> | null>
  /**
   * `consume` (default) counts the request when it is admitted, whatever becomes of it. `reserve` holds it: committed when
   * the response has been sent in full with a status below 400, released when it fails or the client leaves.
   */
  mode?: 'consume' | 'reserve'
  /** Answers a denial in place of the problem body. */
  onDenied?: (decision: Decision<N>, ...context: Context) => Answer | Promise<Answer>
  /** Hears of a commit or release that failed after the response: its hold then ends by itself. Default: `console.error`. */
  onSettleError?: (error: unknown) => void
}

export type Verdict<N extends Names> =
  | { readonly kind: 'unlimited' }
  | { readonly kind: 'admitted'; readonly admission: Admission<N>; readonly headers: HeaderRecord }
  | { readonly kind: 'denied'; readonly decision: Decision<N>; readonly headers: HeaderRecord; readonly problem: Problem }
  /** The engine could not decide: a bad request, or a store that is down. */
  | { readonly kind: 'failed'; readonly problem: Problem }

/** One admitted request, as handlers see it. */
export class Admission<N extends Names = Names> {
  readonly decision: Decision<N>
  readonly #engine: HttpEngine<N>
  readonly #onSettleError: (error: unknown) => void
  /** What is to be settled; undefined once it was, and where nothing is. */
  #reservation: string | undefined
  #amounts: Amounts<N> | undefined

  constructor(decision: Decision<N>, reservation: string | undefined, engine: HttpEngine<N>, onSettleError: (error: unknown) => void) {
    this.decision = decision
    this.#reservation = reservation
    this.#engine = engine
    this.#onSettleError = onSettleError
  }

  /** What was really used, for the commit of mode `reserve`. A meter that is not named keeps its reserved amount. */
  set(amounts: Amounts<N>): void {
    this.#amounts = { ...this.#amounts, ...amounts }
  }

  get isOpen(): boolean {
    return this.#reservation !== undefined
  }

  /** Commits or releases, once: the first call decides. Never rejects: the response is gone, nobody could be told. */
  async settle(isSuccess: boolean): Promise<void> {
    const id = this.#reservation
    if (id === undefined) return
    this.#reservation = undefined
    try {
      if (isSuccess) await this.#engine.commit(id, this.#amounts && { amounts: this.#amounts })
      else await this.#engine.release(id)
    } catch (error) {
      if (!isAlreadySettled(error)) this.#onSettleError(error)
    }
  }
}

/** A handler may settle its reservation by itself. */
const isAlreadySettled = (error: unknown) => TollgateError.isInstance(error) && error.code === 'ALREADY_SETTLED'

const logSettleError = (error: unknown) => console.error('tollgate: a reservation could not be settled', error)

export type Gate<N extends Names, Context extends readonly unknown[]> = (acceptLanguage: string | null | undefined, ...context: Context) => Promise<Verdict<N>>

/** The request's own locale wins by coming last, unless it is `undefined`. (Spread first and `locale` after it takes 0.6 µs longer.) */
function inLanguage<N extends Names>(locale: string, request: TollgateRequest<N>): TollgateRequest<N> {
  const spoken = { locale, ...request }
  spoken.locale ??= locale
  return spoken
}

/** Asks the engine about requests. Rejects only with errors that are not Tollgate's. */
export function createGate<N extends Names, Context extends readonly unknown[]>(engine: HttpEngine<N>, options: MiddlewareOptions<N, Context, unknown>): Gate<N, Context> {
  const { mode = 'consume', onSettleError = logSettleError } = options
  if (mode !== 'consume' && mode !== 'reserve') throw invalidDefinition('mode', `${show(mode)} is not a mode; use 'consume' or 'reserve'`)
  return async (acceptLanguage, ...context) => {
    try {
      const request = await options.request(...context)
      if (request === null) return { kind: 'unlimited' }
      const locale = negotiateLocale(acceptLanguage, undefined)
      const decision = await engine[mode](locale === undefined ? request : inLanguage(locale, request))
      const headers = decisionHeaders(decision, engine.plan(decision.plan), options)
      if (!decision.allowed) return { kind: 'denied', decision, headers, problem: problemOf(decision) }
      // `consume` may bring a reservation too, of a capacity that is kept until it is given back.
      const toSettle = mode === 'reserve' ? decision.reservation?.id : undefined
      return { kind: 'admitted', admission: new Admission(decision, toSettle, engine, onSettleError), headers }
    } catch (error) {
      if (TollgateError.isInstance(error)) return { kind: 'failed', problem: problemOfError(error) }
      throw error
    }
  }
}
