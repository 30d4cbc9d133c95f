import { invalidDefinition, show } from '../../errors/index.ts'

/** The longest that a timer can wait. */
const MAX = 2 ** 31 - 1

/** Durations and counts of an adapter's options. @throws INVALID_DEFINITION */
export function checkLimits(limits: Readonly<Record<string, number | undefined>>): void {
  for (const [name, value] of Object.entries(limits)) {
    if (value === undefined || (Number.isSafeInteger(value) && value >= 1 && value <= MAX)) continue
    throw invalidDefinition(name, `${show(value)} is out of range; use a whole number from 1 to ${MAX}`)
  }
}
