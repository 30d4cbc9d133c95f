import { CellKind, type Charge } from '../decide/charge.ts'
import { slotOf } from '../decide/slots.ts'

/** What a test says of a charge; the rest has the value that means "none". */
export type ChargeFacts = Partial<Omit<Charge, 'slot'>> & Pick<Charge, 'cell' | 'kind'>

/** A charge of one request, as the compiler would make it. */
export function chargeOf(facts: ChargeFacts): Charge {
  const c: Charge = {
    ...{ amount: 1, max: Infinity, startAt: 0, endAt: Infinity, windowMs: 0, refill: 0 },
    ...{ partition: '', digest: '', stated: 0, meter: 'requests', weight: 1, retainMs: 0 },
    slot: slotOf(facts.cell),
    ...facts,
  }
  return facts.retainMs === undefined ? { ...c, retainMs: retainMsOf(c) } : c
}

/** How long a cell can matter after its newest instant. */
export function retainMsOf(c: Charge): number {
  switch (c.kind) {
    case CellKind.quota:
      return c.endAt - c.startAt
    case CellKind.slidingCounter:
      return 2 * c.windowMs
    case CellKind.tokenBucket:
      return Math.ceil((c.max * c.windowMs) / c.refill)
    case CellKind.fixedWindow:
    case CellKind.slidingLog:
    case CellKind.cooldown:
      return c.windowMs
    case CellKind.anchor:
    case CellKind.capacity:
      return Infinity
    default:
      return 0
  }
}

/** A digest as the duplicate guard makes them, 22 characters of base64url, different for different numbers. */
export function digestOf(n: number): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  let digest = ''
  for (let rest = n + 1; digest.length < 22; rest = (Math.imul(rest, 0x01000193) ^ (digest.length * 7919)) >>> 0) digest += alphabet[rest % 64]
  // The number itself in front, so that no two numbers below 2^24 meet.
  const tail = [n >>> 18, n >>> 12, n >>> 6, n].map((bits) => alphabet[bits & 63]).join('')
  return tail + digest.slice(4)
}
