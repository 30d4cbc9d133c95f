import type { Program } from '../compile/program.ts'
import { durationMs } from '../define/duration.ts'
import type { SubjectRecord } from '../engine/subjects.ts'
import type { AllowanceRule } from './account.ts'

/** What a plan grants to a subject; `null` where it grants nothing. */
export function allowanceOf({ id, definition: { credits } }: Program, attributes: SubjectRecord['attributes']): AllowanceRule | null {
  if (!credits) return null
  const { grant, every, timezone = 'UTC', anchor = 'subject', rollover, requires, softLimit = null, priority = 0 } = credits
  return {
    plan: id,
    amount: grant,
    every: every === 'day' || every === 'week' || every === 'month' ? every : durationMs(every, 'every'),
    timezone,
    anchor,
    priority,
    rolloverMax: rollover?.max ?? 0,
    softLimit,
    isEligible: requires === undefined || isSet(attributes?.[requires]),
  }
}

const isSet = (value: unknown): boolean => value !== undefined && value !== null && value !== false
