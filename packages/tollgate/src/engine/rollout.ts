import { invalidRequest, show } from '../errors/index.ts'

/** How much the limits bite. */
export interface Rollout {
  /** `off`: nothing is counted or denied. `shadow`: decided and counted, never denied. `enforce`: denied. */
  mode: 'enforce' | 'shadow' | 'off'
  /** Share of subjects, 0 … 100, for which `mode` holds; for the rest it is `off`. */
  percent: number
}

export const ENFORCED: Rollout = { mode: 'enforce', percent: 100 }

/** @throws INVALID_REQUEST */
export function validateRollout({ mode, percent }: Rollout): Rollout {
  if (mode !== 'enforce' && mode !== 'shadow' && mode !== 'off') throw invalidRequest('mode', `${show(mode)} is not a mode; use 'enforce', 'shadow' or 'off'`)
  if (typeof percent !== 'number' || !(percent >= 0 && percent <= 100)) throw invalidRequest('percent', `${show(percent)} is not a share; use a number from 0 to 100`)
  return { mode, percent }
}

/** Each cohort contains every smaller one, because a subject's place never changes. */
export function modeFor(rollout: Rollout, subject: string): Rollout['mode'] {
  if (rollout.percent >= 100 || rollout.mode === 'off') return rollout.mode
  return placeOf(subject) < rollout.percent ? rollout.mode : 'off'
}

/** A stable number of 0 … 99.99: FNV-1a (http://www.isthe.com/chongo/tech/comp/fnv/), finished as in MurmurHash3. */
function placeOf(subject: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < subject.length; i++) hash = Math.imul(hash ^ subject.charCodeAt(i), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return ((hash ^ (hash >>> 16)) >>> 0) % 10_000 / 100
}
