import { createPeriods, type Period } from '../compile/calendar.ts'

/** Names of the days of a zone, `YYYY-MM-DD`. */
export class Days {
  readonly #periods: (now: number) => Period
  readonly #format: Intl.DateTimeFormat
  #last: Period = { startAt: 0, endAt: 0, index: 0 }
  #name = ''

  /** @throws INVALID_DEFINITION for a zone that there is not */
  constructor(timezone: string) {
    this.#periods = createPeriods({ every: 'day', timezone })
    this.#format = new Intl.DateTimeFormat('en-CA', { timeZone: timezone, year: 'numeric', month: '2-digit', day: '2-digit' })
  }

  of(at: number): string {
    if (at < this.#last.startAt || at >= this.#last.endAt) {
      this.#last = this.#periods(at)
      this.#name = this.#format.format(at)
    }
    return this.#name
  }
}
