import { CellKind, type Charge, newCharge } from '../decide/charge.ts'

/** What a test says of a charge; the rest has the value that means "none". */
export type ChargeFacts = Partial<Omit<Charge, 'slot'>> & Pick<Charge, 'cell' | 'kind'>

/** A charge of one request, as the compiler would make it. */
export function chargeOf(facts: ChargeFacts): Charge {
  const c = Object.assign(newCharge(facts), { amount: 1 }, facts)
  if (facts.retainMs === undefined) c.retainMs = retainMsOf(c)
  return c
}

/** How long a cell can matter after its newest instant. */
function retainMsOf(c: Charge): number {
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

/** A digest as the duplicate guard makes them, 22 characters of base64url; numbers below 2^24 have different ones. */
export function digestOf(n: number): string {
  const bytes = Buffer.alloc(16)
  for (let i = 0; i < 4; i++) bytes.writeUInt32LE(Math.imul(n + 1, 0x9e3779b1 + 2 * i) >>> 0, 4 * i)
  bytes.writeUIntBE(n, 0, 3)
  return bytes.toString('base64url')
}
