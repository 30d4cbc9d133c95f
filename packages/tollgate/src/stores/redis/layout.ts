import { type Cell, CellKind, type Charge, isPartitioned } from '../../decide/charge.ts'
import { bytesOf, directoryEntry, formatOf, headOf, kindOf, largestOf, newCell, UNLIMITED, widthOf, wordsOf } from './head.ts'
import { type ChargeFacts, dataOf, type Facts, type KeyFacts, RARE_SCRIPT, scriptOf } from './layout-script.ts'
import { cellNumber } from './names.ts'
import type { Script } from './script.ts'

/**
 * What Redis has to know of the limits that a request meets: the data that stands before the body of `decide.lua`, and
 * where in the request and in the record each charge is found. Requests under one plan that meet the same limits share a
 * layout, and so one script, which Redis compiles once; what differs between them travels as numbers.
 */
export interface Layout extends Script {
  readonly plan: string
  /** A layout of its own, too rare for a script of its own: its data travel with each request. */
  readonly data: string | undefined
  /** The keys, the subject's record first. */
  readonly keys: readonly KeyShape[]
  /** One for each charge, in their order; `undefined` for what is stated, which Redis does not decide. */
  readonly places: readonly (Place | undefined)[]
  /** One for each charge, of those of the keys; `NO_CELL` for what lies in none. */
  readonly cells: readonly Cell[]
  readonly hasIndex: boolean
  /** ms that the subject's record matters after a write. */
  readonly retainMs: number
}

/** A record's cells, in the order in which they lie; a log has none. */
export interface KeyShape {
  readonly isLog: boolean
  readonly directory: Buffer
  readonly heads: readonly number[]
  /** Bytes of all words. */
  readonly bytes: number
  /** What a reply is read into, one for each head: used again with the next. */
  readonly cells: readonly Cell[]
}

export interface Place {
  /** Of its key in the layout. */
  readonly key: number
  /** Of its cell in the key. */
  readonly cell: number
  /** The head of a cell: kind, width of its counts, and class of how long it matters. */
  readonly head: number
  readonly retainMs: number
  readonly hasOwnAmount: boolean
  readonly hasOwnMax: boolean
  /** It brings where its period starts, its anchor or a serial; of quotas of one calendar only the first does. */
  readonly bringsOwn: boolean
}

/** What matters for ever is kept this long after its last use: no key is without an expiry. */
export const FOR_EVER_MS = 400 * 86_400_000
/** A plan is remembered this long after the last admission. */
const KEEP_PLAN_MS = 600_000

/** Whether the numbers of all charges are those that their plan says, so that a request need not bring them. */
export interface Variant {
  readonly hasOwnAmounts: boolean
  readonly hasOwnMaxes: boolean
}

/** @param rareAt now, when the layout's data are to be sent with the request, and Redis to keep no script for them. */
export function layoutOf(plan: string, charges: readonly Charge[], variant: Variant, rareAt?: number): Layout {
  const { keys, places, found, numbers } = placed(charges, variant, rareAt)
  const shapes = keys.map(shapeOf)
  const facts: Facts = {
    plan: charges.length === 0 ? '' : plan,
    retainMs: Math.max(KEEP_PLAN_MS, ...keys.map((key) => key.retainMs)),
    numbers,
    quotas: charges.filter(({ kind }) => kind === CellKind.quota).length,
    charges: found,
    keys: keys.map((key, i) => !key.isLog && factsOf(key, shapes[i]!)),
  }
  const isRare = rareAt !== undefined
  return { plan, ...(isRare ? RARE_SCRIPT : scriptOf(facts)), data: isRare ? dataOf(facts) : undefined, keys: shapes, places, cells: places.map((place) => (place && shapes[place.key]!.cells[place.cell]) ?? NO_CELL), hasIndex: keys.length > 1, retainMs: facts.retainMs }
}

interface PlacedCell {
  readonly number: number
  readonly head: number
}

interface PlacedKey {
  /** Which of the cells outside the subject's record; '' for the record. */
  readonly member: string
  readonly isLog: boolean
  readonly cells: PlacedCell[]
  retainMs: number
}

interface Placed {
  readonly keys: readonly PlacedKey[]
  readonly places: readonly (Place | undefined)[]
  readonly found: readonly ChargeFacts[]
  readonly numbers: number
}

/** Gives every charge a key, a cell there, and places for the numbers that a request brings for it. */
function placed(charges: readonly Charge[], variant: Variant, rareAt: number | undefined): Placed {
  const keys: PlacedKey[] = [{ member: '', isLog: false, cells: [], retainMs: 0 }]
  const places: (Place | undefined)[] = []
  const found: ChargeFacts[] = []
  // Until when the charges are those of now goes before them.
  let numbers = 1
  const starts = new Map<number, number>()
  for (const c of charges) {
    if (c.kind === CellKind.stated) {
      places.push(undefined)
      continue
    }
    const key = keyOf(keys, c)
    const shape = keys[key]!
    const retainMs = retainOf(c, rareAt)
    shape.retainMs = Math.max(shape.retainMs, retainMs)
    const width = widthOf(c, variant.hasOwnMaxes)
    const cell = cellOf(shape, c, width)
    const head = shape.cells[cell]?.head ?? headOf(c, width)
    const hasOwnAmount = variant.hasOwnAmounts || (c.meter !== 'requests' && c.meter !== '')
    const amount = hasOwnAmount ? -++numbers : c.amount
    const max = variant.hasOwnMaxes ? -++numbers : Math.min(c.max, UNLIMITED)
    const hasCalendar = c.kind === CellKind.quota && c.calendar > 0
    const shared = hasCalendar && rareAt === undefined ? starts.get(c.calendar) : undefined
    const own = shared ?? (c.kind === CellKind.quota || c.kind === CellKind.anchor || c.kind === CellKind.capacity ? ++numbers : 0)
    if (hasCalendar) starts.set(c.calendar, own)
    places.push({ key, cell, head, retainMs, hasOwnAmount, hasOwnMax: variant.hasOwnMaxes, bringsOwn: own > 0 && shared === undefined })
    found.push({ kind: c.kind, amount, max, windowMs: c.windowMs, refill: c.refill, key: key + 1, at: 1 + wordsBefore(shape, cell), cell: cellNumber(c.cell), head: headOf(c, width), retainMs, own, largest: largestOf(c.kind, width) })
  }
  return { keys, places, found, numbers }
}

/** Of the charge's key, which is added when there is none. */
function keyOf(keys: PlacedKey[], c: Charge): number {
  const member = isPartitioned(c) ? JSON.stringify([c.cell, c.kind, c.partition, c.digest]) : ''
  const known = keys.findIndex((key) => key.member === member)
  return known >= 0 ? known : keys.push({ member, isLog: c.kind === CellKind.slidingLog, cells: [], retainMs: 0 }) - 1
}

/** Of the charge's cell in its key, which is added when there is none; -1 in a log. */
function cellOf({ isLog, cells }: PlacedKey, c: Charge, width: number): number {
  if (isLog) return -1
  const number = cellNumber(c.cell)
  const known = cells.findIndex((cell) => cell.number === number && kindOf(cell.head) === c.kind)
  return known >= 0 ? known : cells.push({ number, head: headOf(c, width) }) - 1
}

function wordsBefore({ cells }: PlacedKey, cell: number): number {
  return cells.slice(0, Math.max(cell, 0)).reduce((sum, { head }) => sum + wordsOf(head), 0)
}

function shapeOf({ isLog, cells }: PlacedKey): KeyShape {
  return {
    isLog,
    directory: Buffer.concat(cells.map(({ number, head }) => directoryEntry(number, head))),
    heads: cells.map(({ head }) => head),
    bytes: cells.reduce((sum, { head }) => sum + bytesOf(head), 0),
    cells: cells.map(({ number, head }) => newCell(kindOf(head), number)),
  }
}

function factsOf(key: PlacedKey, { directory, heads, bytes }: KeyShape): KeyFacts {
  return { directory, cells: heads.length, format: `<${heads.map(formatOf).join('')}`, words: wordsBefore(key, heads.length), bytes, retainMs: key.retainMs }
}

function retainOf({ kind, retainMs, startAt }: Charge, rareAt: number | undefined): number {
  // What is brought back was counted in a period that began long ago.
  if (kind === CellKind.quota && rareAt !== undefined) return Math.max(0, startAt + retainMs - rareAt)
  return retainMs === Infinity ? FOR_EVER_MS : retainMs
}

const NO_CELL: Cell = { w: new Float64Array(0), at: 0, length: 0, id: 0 }
