import type { Database } from '../../stores/sql/database.ts'
import { conversion, type ConversionQuestion, type ConversionReport } from './conversion.ts'
import { type DenialQuestion, type DenialReport, denials, type DeniedSubject, deniedSubjects, type Page } from './denials.ts'
import { economics, type EconomicsQuestion, type EconomicsReport } from './economics.ts'
import { type FullDays, fullDays, type FullDaysQuestion, type NearLimits, nearLimits, type NearLimitsQuestion } from './limits.ts'
import type { PageInput } from './page.ts'
import type { RangeInput } from './range.ts'
import { type AnalyticsOptions, Source } from './source.ts'
import { type AverageRow, averageUse, usage, type UsageQuestion, type UsageReport } from './usage.ts'

/**
 * Questions to the record of one namespace. They read sums, so that what they cost grows with days, plans and subjects,
 * and not with requests. A copy of the database will do: nothing is written.
 * Each throws INVALID_REQUEST, which names the field, the value, the rule and the fix.
 */
export class Analytics {
  readonly #source: Source

  /** @throws INVALID_DEFINITION */
  constructor(database: Database, options: AnalyticsOptions = {}) {
    this.#source = new Source(database, options)
  }

  /** Requests, amounts and active subjects by day, plan, limit, operation or model; with the months' active subjects. */
  usage(question: UsageQuestion = {}): Promise<UsageReport> {
    return usage(this.#source, question)
  }

  /** How many requests an active subject of each plan made. */
  averageUse(range: RangeInput = {}): Promise<AverageRow[]> {
    return averageUse(this.#source, range)
  }

  /** Denied requests and violations by day, plan, limit, kind, code, operation or mode; how many subjects they hit. */
  denials(question: DenialQuestion = {}): Promise<DenialReport> {
    return denials(this.#source, question)
  }

  /** Which subjects were denied. */
  deniedSubjects(question: RangeInput & PageInput = {}): Promise<Page<DeniedSubject>> {
    return deniedSubjects(this.#source, question)
  }

  /** Who has used most of a quota, or more than all of it, in its period now. */
  nearLimits(question: NearLimitsQuestion = {}): Promise<NearLimits> {
    return nearLimits(this.#source, question)
  }

  /** Who had used up a daily quota on one of the last days. */
  fullDays(question: FullDaysQuestion = {}): Promise<FullDays> {
    return fullDays(this.#source, question)
  }

  /** What each plan costs and brings: by default in the running month, up to today. */
  economics(question: EconomicsQuestion): Promise<EconomicsReport> {
    return economics(this.#source, question)
  }

  /** How many of those denied upgraded, and how many left. */
  conversion(question: ConversionQuestion): Promise<ConversionReport> {
    return conversion(this.#source, question)
  }
}
