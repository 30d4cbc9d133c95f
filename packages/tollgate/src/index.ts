export { type CreditAllowance, definePlans, type OperationDefinition, type Operations, type PlanDefinition, type Plans, type Price } from './define/plans.ts'
export {
  allowOnly,
  capacity,
  concurrency,
  cooldown,
  duplicates,
  type FailurePolicy,
  fixedWindow,
  type LimitDefinition,
  type LimitKind,
  quota,
  slidingWindow,
  tokenBucket,
} from './define/limits.ts'
export type { Duration } from './define/duration.ts'
export type { NamesOf } from './define/names.ts'
export type { PlanSet } from './compile/catalog.ts'
export { type CommonOptions, createTollgate, type TollgateOptions } from './engine/create.ts'
export { Tollgate } from './engine/tollgate.ts'
export type { Granted, NewGrant, NewRefund, PlanChange } from './engine/account.ts'
export * from './ledger/index.ts'
export type { RunResult, Spend } from './engine/run.ts'
export { type Clock, systemClock } from './engine/clock.ts'
export type { EngineEvents, Listener } from './engine/events.ts'
export { fingerprintOf, Receipts, type ReceiptStore } from './engine/receipts.ts'
export type { Rollout } from './engine/rollout.ts'
export { MemorySubjects, type SubjectRecord, type SubjectStore } from './engine/subjects.ts'
export type { Explanation, Rule } from './engine/usage.ts'
export type * from './engine/types.ts'
export { MemoryStore, type MemoryStoreOptions } from './stores/memory/index.ts'
export type * from './stores/store.ts'
export type * from './record/event.ts'
export type * from './record/store.ts'
export type { Unrecorded } from './record/recorder.ts'
export type { Unreplayed } from './engine/replay.ts'
export { TollgateError, type TollgateErrorCode } from './errors/index.ts'
export { createMessages, type Locale, type MessageFacts, type MessageOverrides, type MessageTemplate, negotiateLocale } from './messages/index.ts'
