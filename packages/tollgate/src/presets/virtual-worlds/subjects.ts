import type { operations } from './plans.ts'
import type { MessageLimit } from './single-limits.ts'

/** Before the user's id, in the engine's names. */
export const SUBJECT = 'worlds:'

export const subjectOf = (userId: string): string => SUBJECT + userId

/** As SQL: what a message that was answered is recorded as, whether all its limits were asked together or one by one. */
export const COUNTED_OPERATIONS = `'${'message' satisfies keyof typeof operations}', '${'dailyMessages' satisfies MessageLimit}'`
