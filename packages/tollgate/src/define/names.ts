import type { LimitDefinition } from './limits.ts'
import type { OperationDefinition, Operations, Plans } from './plans.ts'

/**
 * The names that plans and operations declare, as literal types: a misspelt one does not compile. A name that is not
 * known before run time, as in plans that are read from JSON, is a `string`.
 */
export interface NamesOf<P extends Plans, O extends Operations> {
  plan: PlanName<P>
  limit: LimitName<P>
  meter: MeterName<P>
  dimension: DimensionName<P>
  operation: OperationName<O>
}

export type PlanName<P extends Plans> = keyof P & string
export type LimitName<P extends Plans> = { [K in keyof P]: KeysOf<P[K]['limits']> }[keyof P]
export type MeterName<P extends Plans> = (Option<Limits<P>, 'meter'> & string) | 'requests'
export type DimensionName<P extends Plans> = Exclude<ItemsOf<Option<Limits<P>, 'per'>> | KeysOf<Matched<P>>, 'operation'>
/** Any, where no operations are declared. */
export type OperationName<O extends Operations> = [keyof O] extends [never] ? string : keyof O & string

/** Has the operations that limits are about, which must be declared when any are: `operations?: O & MatchedOperations<P>`. */
export type MatchedOperations<P extends Plans> = { readonly [N in ItemsOf<Option<Matched<P>, 'operation'>>]: OperationDefinition }

/** Has no plan with a headline that is none of its counted limits: `definePlans(plans: P & Headlines<P>)`. */
export type Headlines<P extends Plans> = { readonly [K in keyof P]: Headline<Option<P[K], 'headline'>, CountedLimit<P[K]['limits']>> }

/** True of plans whose names are not known before run time, such as plans read from JSON. */
export type IsOpen<P extends Plans> = LimitDefinition extends Limits<P> ? true : false

type Limits<P extends Plans> = { [K in keyof P]: P[K]['limits'][keyof P[K]['limits']] }[keyof P]
type Matched<P extends Plans> = Option<Limits<P>, 'match' | 'allow'>
type CountedLimit<L> = { [N in keyof L]: L[N] extends { readonly kind: 'allowOnly' } ? never : N }[keyof L]
// Not `{ headline: L }`: two literals in one place make the whole plan `never`, and the error would not name the limits.
type Headline<H, L> = [H] extends [L] ? unknown : { readonly headline: { readonly useOneOf: L } }

// Of a union, each gives those of every member.
type Option<T, K extends string> = K extends string ? (T extends { readonly [N in K]?: infer V } ? V : never) : never
type KeysOf<T> = T extends unknown ? keyof T & string : never
type ItemsOf<T> = T extends readonly (infer Item extends string)[] ? Item : T & string
