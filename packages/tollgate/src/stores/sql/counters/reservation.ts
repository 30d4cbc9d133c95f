import { CellKind, type Charge, isPartitioned, newCharge } from '../../../decide/charge.ts'
import type { KeptReservation } from '../../settlement.ts'
import { damaged, readBody, writeBody } from './body.ts'
import { cellKey, RECORD } from './keys.ts'

/** A charge in JSON: what differs from one of nothing, without the slot, which means something in one process only. */
type StoredCharge = { [name in keyof Charge]?: Charge[name] | null } & Pick<Charge, 'cell' | 'kind'>

const BLANK = newCharge({ cell: '', kind: CellKind.stated })
const FIELDS = (Object.keys(BLANK) as (keyof Charge)[]).filter((field) => field !== 'slot')

/** Keys of the rows in which a reservation's charges were counted. */
/** Those that settling it has to load: none once it is settled. */
export function cellsOf({ charges, status, isStanding }: KeptReservation): string[] {
  if (charges.length === 0 || (status !== 'open' && !isStanding)) return []
  return [RECORD, ...new Set(charges.filter(isPartitioned).map(cellKey))]
}

export function writeReservation({ id, subject, memo, charges, chargedAt, expiresAt, status, settledAt, late, isStanding }: KeptReservation): string {
  return writeBody({ id, subject, memo, charges: charges.map(writeCharge), chargedAt, expiresAt, status, settledAt, late, isStanding })
}

export function readReservation(body: string, what: string): KeptReservation {
  const { id, subject, memo, charges, chargedAt, expiresAt, status, settledAt, late, isStanding } = readBody(body, what) as unknown as Omit<KeptReservation, 'charges'> & { charges: StoredCharge[] }
  if (typeof id !== 'string' || typeof subject !== 'string' || !Array.isArray(charges) || typeof expiresAt !== 'number') throw damaged(what, 'it lacks its charges')
  return { id, subject, memo, charges: charges.map(readCharge), chargedAt, expiresAt, status, settledAt, late, isStanding }
}

function writeCharge(c: Charge): StoredCharge {
  const stored: Record<string, unknown> = {}
  // JSON has no infinity: it makes it null.
  for (const field of FIELDS) if (c[field] !== BLANK[field] || field === 'kind') stored[field] = c[field]
  return stored as StoredCharge
}

function readCharge(stored: StoredCharge): Charge {
  const c = newCharge(stored as Pick<Charge, 'cell' | 'kind'>) as unknown as Record<string, unknown>
  for (const field of FIELDS) if (field in stored) c[field] = stored[field] ?? Infinity
  return c as unknown as Charge
}
