import type { SubjectFacts } from '../compile/charges.ts'
import type { Program } from '../compile/program.ts'
import type { Decision, TollgateRequest } from './types.ts'

export type Action = 'check' | 'consume' | 'reserve'

/**
 * One subject's request under way to its decision. Every field is always there: so all have one hidden class, and none is
 * made by a spread, which would take several times as long as deciding.
 */
export interface Inquiry {
  readonly request: TollgateRequest
  readonly program: Program
  readonly mode: Decision['mode']
  readonly action: Action
  /** What the caller asked for, where it is done another way. */
  readonly asked: Action | undefined
  /** Set for one subject of several. */
  readonly part: Part | undefined
  /** Who pays when it is committed with credits, though it was to cost none. */
  readonly credits: HeldCredits | undefined
  /** Why what is stored of the subject could not be read, where nothing is known of it from before. */
  readonly unread: unknown
}

/** One that the store is asked. */
export interface StoreInquiry extends Inquiry {
  readonly facts: SubjectFacts
  /** The store knows the subject, or the record has nothing of it. */
  readonly isKnown: boolean
  /** What the subject used without the store is counted there, as far as it can be by now. */
  readonly isReplayed: boolean
}

/** The same with what is known of the subject's own start by now. */
export function withAnchor(inquiry: StoreInquiry, anchorAt: number | undefined): StoreInquiry {
  const facts: SubjectFacts = { ...inquiry.facts, anchorAt: anchorAt ?? inquiry.facts.anchorAt }
  return { ...inquiry, facts }
}

/** One subject's decision is a part of a request's: it is not announced by itself. */
export interface Part {
  /** Reservations that are settled with its own. */
  readonly linked: readonly string[]
  /** Of the subject that the request is about. */
  readonly own?: OwnPart | undefined
  /** It is about another subject than the request. */
  readonly isShared?: boolean
}

export interface OwnPart {
  /** The id that its reservation gets. */
  readonly reservation?: string
  /** Credits that will be held for it. */
  readonly credits?: HeldCredits
}

export interface HeldCredits {
  readonly account: string
  readonly id: string
  /** Nothing is held: what a commit says is spent. */
  readonly isFree?: boolean
}
