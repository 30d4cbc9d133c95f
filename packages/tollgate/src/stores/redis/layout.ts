import { createHash } from 'node:crypto'
import { CellKind, type Charge, isPartitioned } from '../../decide/charge.ts'
import { unknownKind } from '../../decide/kernel.ts'
import { cellNumber } from './names.ts'
import type { Script } from './script.ts'
import { DECIDE } from './scripts.generated.ts'

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
}

/** A number above every amount: no limit. */
export const UNLIMITED = 2 ** 53
/** What matters for ever is kept this long after its last use: no key is without an expiry. */
export const FOR_EVER_MS = 400 * 86_400_000
/** A plan is remembered this long after the last admission. */
const KEEP_PLAN_MS = 600_000
const FIELDS_BEFORE_TEXT = 31
const WIDTH_BYTES = [1, 2, 4, 7] as const
const CLASS_MS = [86_400_000, 3_024_000_000, 69_120_000_000] as const

/** Whether the numbers of all charges are those that their plan says, so that a request need not bring them. */
export interface Variant {
  readonly hasOwnAmounts: boolean
  readonly hasOwnMaxes: boolean
}

/** @param rareAt now, when the layout's data are to be sent with the request, and Redis to keep no script for them. */
export function layoutOf(plan: string, charges: readonly Charge[], variant: Variant, rareAt?: number): Layout {
  const keys: { member: string; isLog: boolean; cells: { number: number; head: number; words: number }[]; retainMs: number }[] = [{ member: '', isLog: false, cells: [], retainMs: 0 }]
  const places: (Place | undefined)[] = []
  const fields: number[][] = []
  let numbers = 0
  for (const c of charges) {
    if (c.kind === CellKind.stated) {
      places.push(undefined)
      continue
    }
    const retainMs = retainOf(c, rareAt)
    const member = isPartitioned(c) ? JSON.stringify([c.cell, c.kind, c.partition, c.digest]) : ''
    let key = keys.findIndex((known) => known.member === member)
    if (key < 0) key = keys.push({ member, isLog: c.kind === CellKind.slidingLog, cells: [], retainMs: 0 }) - 1
    const shape = keys[key]!
    shape.retainMs = Math.max(shape.retainMs, retainMs)
    const hasOwnAmount = variant.hasOwnAmounts || (c.meter !== 'requests' && c.meter !== '')
    const width = widthOf(c, variant.hasOwnMaxes)
    const head = c.kind + 16 * width + 64 * classOf(c.retainMs)
    const number = cellNumber(c.cell)
    let cell = shape.cells.findIndex((known) => known.number === number && known.head % 16 === c.kind)
    if (cell < 0 && !shape.isLog) cell = shape.cells.push({ number, head, words: wordsOf(head) }) - 1
    places.push({ key, cell, head: shape.cells[cell]?.head ?? head, retainMs, hasOwnAmount, hasOwnMax: variant.hasOwnMaxes })
    const at = 1 + shape.cells.slice(0, Math.max(cell, 0)).reduce((sum, { words }) => sum + words, 0)
    const amount = hasOwnAmount ? -++numbers : c.amount
    const max = variant.hasOwnMaxes ? -++numbers : Math.min(c.max, UNLIMITED)
    const own = c.kind === CellKind.quota || c.kind === CellKind.anchor || c.kind === CellKind.capacity ? ++numbers : 0
    if (c.kind === CellKind.quota) numbers++
    fields.push([c.kind, amount, max, c.windowMs, c.refill, key + 1, at, number, head, retainMs, own, largestOf(c.kind, width)])
  }
  const retainMs = Math.max(KEEP_PLAN_MS, ...keys.map((key) => key.retainMs))
  const shapes = keys.map(({ isLog, cells }): KeyShape => ({ isLog, directory: Buffer.concat(cells.map(({ number, head }) => directoryEntry(number, head))), heads: cells.map(({ head }) => head), bytes: cells.reduce((sum, { head }) => sum + bytesOf(head), 0) }))
  const facts: Facts = {
    plan: charges.length === 0 ? '' : plan,
    retainMs,
    numbers,
    fields: fields.flat(),
    keys: shapes.map((shape, i) => (shape.isLog ? false : { directory: shape.directory, cells: shape.heads.length, format: `<${shape.heads.map(formatOf).join('')}`, words: keys[i]!.cells.reduce((sum, { words }) => sum + words, 0), retainMs: keys[i]!.retainMs })),
  }
  const isRare = rareAt !== undefined
  const text = isRare ? RARE : prelude(facts) + DECIDE
  return { plan, text, sha: isRare ? RARE_SHA : shaOf(text), data: isRare ? JSON.stringify({ ...facts, keys: facts.keys.map((key) => key && { ...key, directory: key.directory.toString('hex') }) }) : undefined, keys: shapes, places, hasIndex: keys.length > 1, retainMs }
}

interface Facts {
  plan: string
  retainMs: number
  numbers: number
  fields: readonly number[]
  keys: readonly (false | { directory: Buffer; cells: number; format: string; words: number; retainMs: number })[]
}

function prelude({ plan, retainMs, numbers, fields, keys }: Facts): string {
  const shapes = keys.map((key) => (key ? `{${luaString(key.directory)},${key.cells},'${key.format}',${key.words},${key.retainMs}}` : 'false'))
  return `local PLAN,RETAIN,PATTERN,LAST=${luaString(Buffer.from(plan))},${retainMs},${patternOf(numbers)},#ARGV
local C={${fields.join(',')}}
local R={${shapes.join(',')}}
`
}

/** What a pattern cannot find is looked for number by number. */
function patternOf(numbers: number): string {
  return numbers > 0 && numbers <= FIELDS_BEFORE_TEXT ? `'^......${' (%d+)'.repeat(numbers)}'` : 'nil'
}

/** The same data, out of the last argument. */
const RARE = `local F=cjson.decode(ARGV[#ARGV])
local PLAN,RETAIN,PATTERN,LAST,C=F.plan,F.retainMs,nil,#ARGV-1,F.fields
local R={}
for i,k in ipairs(F.keys) do
R[i]=k and {(string.gsub(k.directory,'%x%x',function(x) return string.char(tonumber(x,16)) end)),k.cells,k.format,k.words,k.retainMs}
end
${DECIDE}`
const RARE_SHA = shaOf(RARE)

function shaOf(text: string): string {
  return createHash('sha1').update(text).digest('hex')
}

function luaString(bytes: Buffer): string {
  return `'${[...bytes].map((byte) => `\\${String(byte).padStart(3, '0')}`).join('')}'`
}

function retainOf({ kind, retainMs, startAt }: Charge, rareAt: number | undefined): number {
  // What is brought back was counted in a period that began long ago.
  if (kind === CellKind.quota && rareAt !== undefined) return Math.max(0, startAt + retainMs - rareAt)
  return retainMs === Infinity ? FOR_EVER_MS : retainMs
}

function classOf(retainMs: number): number {
  const found = CLASS_MS.findIndex((ms) => retainMs <= ms)
  return found < 0 ? CLASS_MS.length : found
}

/** The narrowest width for what the cell counts up to its limit; above it the record says so itself. */
function widthOf({ kind, max, windowMs }: Charge, hasOwnMax: boolean): number {
  if (kind === CellKind.tokenBucket) return hasOwnMax ? 3 : narrowest(2 * max * windowMs)
  return hasOwnMax || max === Infinity ? 2 : narrowest(max)
}

function narrowest(largest: number): number {
  const width = WIDTH_BYTES.findIndex((bytes) => largest < 256 ** bytes)
  return width < 0 ? WIDTH_BYTES.length - 1 : width
}

function largestOf(kind: CellKind, width: number): number {
  const bytes = WIDTH_BYTES[width]!
  if (bytes === 7) return UNLIMITED
  return kind === CellKind.tokenBucket ? 128 * 256 ** (bytes - 1) - 1 : 256 ** bytes - 1
}

export const kindOf = (head: number): CellKind => (head % 16) as CellKind

/** Bytes of one count. */
export const widthBytes = (head: number): number => WIDTH_BYTES[Math.floor(head / 16) % 4]!

/** Bytes of a cell's words. */
export function bytesOf(head: number): number {
  const kind = kindOf(head)
  switch (kind) {
    case CellKind.quota:
    case CellKind.fixedWindow:
    case CellKind.tokenBucket:
      return 6 + widthBytes(head)
    case CellKind.slidingCounter:
      return 6 + 2 * widthBytes(head)
    case CellKind.cooldown:
      return 6
    case CellKind.concurrency:
      return 0
    case CellKind.capacity:
      return 12 + widthBytes(head)
    case CellKind.anchor:
      return 12
    case CellKind.slidingLog:
    case CellKind.stated:
      throw new Error(`A cell of kind ${kind} does not lie in a record`)
    default:
      throw unknownKind(kind)
  }
}

function wordsOf(head: number): number {
  return (formatOf(head).match(/I|i/g) ?? []).length
}

function formatOf(head: number): string {
  const count = widthBytes(head)
  switch (kindOf(head)) {
    case CellKind.tokenBucket:
      return `I6i${count}`
    case CellKind.slidingCounter:
      return `I6I${count}I${count}`
    case CellKind.cooldown:
      return 'I6'
    case CellKind.concurrency:
      return ''
    case CellKind.capacity:
      return `I6I${count}I6`
    case CellKind.anchor:
      return 'I6I6'
    default:
      return `I6I${count}`
  }
}

function directoryEntry(number: number, head: number): Buffer {
  const entry = Buffer.alloc(5)
  entry.writeUInt32LE(number)
  entry.writeUInt8(head, 4)
  return entry
}
