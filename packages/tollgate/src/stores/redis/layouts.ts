import { CellKind, type Charge, isPartitioned } from '../../decide/charge.ts'
import type { DecideCommand } from '../store.ts'
import { type Layout, layoutOf, type Variant } from './layout.ts'

/** What of a charge is written into a script. */
interface Known {
  slot: number
  kind: CellKind
  max: number
  windowMs: number
  refill: number
  calendar: number
  weight: number
  meter: string
  retainMs: number
  isPartitioned: boolean
}

interface Entry {
  readonly known: readonly Known[]
  readonly variant: Variant
  readonly layout: Layout
}

/**
 * The layouts of this process, found again by what is written into them. They are as many as the plans have sets of limits
 * that requests meet, times two for amounts and two for limits of a subject's own; beyond `max`, data travel with requests.
 */
export class Layouts {
  readonly #max: number
  readonly #byPlan = new Map<string, Entry[]>()
  #count = 0

  constructor(max: number) {
    this.#max = max
  }

  find({ plan, charges, now, isRare }: Pick<DecideCommand, 'plan' | 'charges' | 'now' | 'isRare'>): Layout {
    if (isRare) return layoutOf(plan, charges, OWN, now)
    const variant = variantOf(charges)
    const entries = this.#byPlan.get(plan)
    if (entries) {
      for (const entry of entries) if (isSame(entry, charges, variant)) return entry.layout
    }
    if (this.#count >= this.#max || hasRepeated(charges)) return layoutOf(plan, charges, OWN, now)
    this.#count++
    const layout = layoutOf(plan, charges, variant)
    const entry = { known: charges.map(knownOf), variant, layout }
    if (entries) entries.push(entry)
    else this.#byPlan.set(plan, [entry])
    return layout
  }
}

const OWN: Variant = { hasOwnAmounts: true, hasOwnMaxes: true }
const VARIANTS = [false, true].flatMap((hasOwnMaxes) => [false, true].map((hasOwnAmounts): Variant => ({ hasOwnAmounts, hasOwnMaxes })))

function variantOf(charges: readonly Charge[]): Variant {
  let i = 0
  for (const c of charges) {
    if (c.amount !== c.weight && (c.meter === 'requests' || c.meter === '')) i |= 1
    if (c.isOwn) i |= 2
  }
  return VARIANTS[i]!
}

function isSame({ known, variant }: Entry, charges: readonly Charge[], wanted: Variant): boolean {
  if (known.length !== charges.length || variant !== wanted) return false
  for (let i = 0; i < known.length; i++) {
    const k = known[i]!
    const c = charges[i]!
    if (k.slot !== c.slot || k.kind !== c.kind || k.windowMs !== c.windowMs || k.isPartitioned !== isPartitioned(c)) return false
    if (k.kind !== CellKind.stated && !variant.hasOwnMaxes && (k.max !== c.max || k.retainMs !== c.retainMs)) return false
    if (k.refill !== c.refill || k.calendar !== c.calendar || k.weight !== c.weight || k.meter !== c.meter) return false
  }
  return true
}

const knownOf = (c: Charge): Known => ({ slot: c.slot, kind: c.kind, max: c.max, windowMs: c.windowMs, refill: c.refill, calendar: c.calendar, weight: c.weight, meter: c.meter, retainMs: c.retainMs, isPartitioned: isPartitioned(c) })

/** Of a limit that is charged twice at once, two cells may be one or not: that depends on the request. */
function hasRepeated(charges: readonly Charge[]): boolean {
  return charges.some(({ slot, kind }, i) => kind !== CellKind.stated && charges.findIndex((other) => other.slot === slot && other.kind === kind) < i)
}
