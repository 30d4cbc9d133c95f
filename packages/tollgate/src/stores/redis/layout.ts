import { createHash } from 'node:crypto'
import { type Cell, CELL_WORDS, CellKind, type Charge, clearCell, isPartitioned } from '../../decide/charge.ts'
import { unknownKind } from '../../decide/kernel.ts'
import { cellNumber } from './names.ts'
import type { Script } from './script.ts'
import { DECIDE, SIMPLE } from './scripts.generated.ts'

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

/** A number above every amount: no limit. */
export const UNLIMITED = 2 ** 53
/** What matters for ever is kept this long after its last use: no key is without an expiry. */
export const FOR_EVER_MS = 400 * 86_400_000
/** A plan is remembered this long after the last admission. */
const KEEP_PLAN_MS = 600_000
/** A pattern of Lua has 32 at most. */
const MAX_CAPTURES = 31
/** Each is a local variable, of which a function of Lua has 200, and fewer in one expression. */
const MAX_SIMPLE_WORDS = 60
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
  // Until when the charges are those of now goes before them.
  let numbers = 1
  const starts = new Map<number, number>()
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
    const at = 1 + shape.cells.slice(0, Math.max(cell, 0)).reduce((sum, { words }) => sum + words, 0)
    const amount = hasOwnAmount ? -++numbers : c.amount
    const max = variant.hasOwnMaxes ? -++numbers : Math.min(c.max, UNLIMITED)
    const shared = c.kind === CellKind.quota && c.calendar > 0 && rareAt === undefined ? starts.get(c.calendar) : undefined
    const own = shared ?? (c.kind === CellKind.quota || c.kind === CellKind.anchor || c.kind === CellKind.capacity ? ++numbers : 0)
    if (c.kind === CellKind.quota && c.calendar > 0) starts.set(c.calendar, own)
    const bringsOwn = own > 0 && shared === undefined
    places.push({ key, cell, head: shape.cells[cell]?.head ?? head, retainMs, hasOwnAmount, hasOwnMax: variant.hasOwnMaxes, bringsOwn })
    fields.push([c.kind, amount, max, c.windowMs, c.refill, key + 1, at, number, head, retainMs, own, largestOf(c.kind, width)])
  }
  const retainMs = Math.max(KEEP_PLAN_MS, ...keys.map((key) => key.retainMs))
  const shapes = keys.map(({ isLog, cells }): KeyShape => ({ isLog, directory: Buffer.concat(cells.map(({ number, head }) => directoryEntry(number, head))), heads: cells.map(({ head }) => head), bytes: cells.reduce((sum, { head }) => sum + bytesOf(head), 0), cells: cells.map(({ number, head }) => newCell(kindOf(head), number)) }))
  const facts: Facts = {
    plan: charges.length === 0 ? '' : plan,
    retainMs,
    numbers,
    quotas: charges.filter(({ kind }) => kind === CellKind.quota).length,
    fields,
    keys: shapes.map((shape, i) => (shape.isLog ? false : { directory: shape.directory, cells: shape.heads.length, format: `<${shape.heads.map(formatOf).join('')}`, words: keys[i]!.cells.reduce((sum, { words }) => sum + words, 0), bytes: shape.bytes, retainMs: keys[i]!.retainMs })),
  }
  const isRare = rareAt !== undefined
  const text = isRare ? RARE : scriptOf(facts)
  return { plan, text, sha: isRare ? RARE_SHA : shaOf(text), data: isRare ? JSON.stringify({ ...facts, keys: facts.keys.map((key) => key && { ...key, directory: key.directory.toString('hex') }) }) : undefined, keys: shapes, places, cells: places.map((place) => (place && shapes[place.key]!.cells[place.cell]) ?? NO_CELL), hasIndex: keys.length > 1, retainMs }
}

interface Facts {
  plan: string
  retainMs: number
  numbers: number
  quotas: number
  fields: readonly number[][]
  keys: readonly (false | { directory: Buffer; cells: number; format: string; words: number; bytes: number; retainMs: number })[]
}

/** The script of a layout: its data, and the body with what its simple charges do, word by word. */
function scriptOf(facts: Facts): string {
  const { plan, retainMs, numbers, quotas, fields, keys } = facts
  const own = keys[0] as Exclude<Facts['keys'][number], false>
  const head = Buffer.concat([Buffer.of(Buffer.byteLength(plan)), Buffer.from(plan), own.directory])
  const shapes = keys.map((key) => (key ? `{${luaString(key.directory)},${key.cells},'${key.format}',${key.words},${key.retainMs}}` : 'false'))
  const places = isSimple(facts, own.words) ? simpleParts(fields, numbers, own) : NOT_SIMPLE
  return withParts(
    `local RETAIN,LAST,KEYS_EACH=${retainMs},#ARGV,${keys.length}
local IS_SIMPLE,HEAD,HEAD_END,CELLS,LENGTH=${places !== NOT_SIMPLE},${luaString(head)},${7 + head.length},${own.cells},${7 + head.length + own.bytes}
`,
    {
      ...places,
      data: `local PLAN,RETAIN,NUMBERS,QUOTAS=${luaString(Buffer.from(plan))},${retainMs},${numbers},${quotas}
local C,R={${fields.flat().join(',')}},{${shapes.join(',')}}`,
    },
  )
}

type Part = 'declare numbers' | 'parse numbers' | 'unpack words' | 'charges' | 'leave when too wide' | 'pack words'

/** The body, each of its places filled in. */
function withParts(prelude: string, parts: Readonly<Record<Part | 'data', string>>): string {
  return prelude + DECIDE.replace(/^--- (.+)$/gm, (_, part: Part) => parts[part])
}

const NOT_SIMPLE: Readonly<Record<Part, string>> = { 'declare numbers': 'local n1', 'parse numbers': '', 'unpack words': '', charges: '', 'leave when too wide': '', 'pack words': '' }

function simpleParts(fields: readonly number[][], numbers: number, { format, words }: { format: string; words: number }): Readonly<Record<Part, string>> {
  const list = (letter: string, count: number): string => Array.from({ length: count }, (_, i) => `${letter}${i + 1}`).join(',')
  const names = list('n', numbers)
  const all = list('w', words)
  const tooWide = fields.filter(([kind]) => kind !== CellKind.cooldown).map(([, , , , , , at, , , , , largest]) => `w${at! + 1}>${largest}`)
  return {
    'declare numbers': `local ${names}`,
    'parse numbers': `${names}=string.match(what,'^.......${' (%d+)'.repeat(numbers)}') ${names}=${names.replaceAll(/n\d+/g, '$&+0')}`,
    'unpack words': `local ${all}=struct.unpack('${format}',raw,words_at)`,
    charges: fields.map(simpleCharge).join('\n'),
    'leave when too wide': tooWide.length > 0 ? `if ${tooWide.join(' or ')} then break end` : '',
    'pack words': `call('SETRANGE',KEYS[key],words_at-1,struct.pack('${format}',${all}))`,
  }
}

/** The lines of `simple/` with this charge's words and numbers. */
function simpleCharge([kind, amount, max, windowMs, refill, , at, , , , own]: number[]): string {
  const number = (value: number): string => (value < 0 ? `n${-value}` : String(value))
  const values: Record<string, string> = { W1: `w${at}`, W2: `w${at! + 1}`, W3: `w${at! + 2}`, AMOUNT: number(amount!), MAX: number(max!), WINDOW: String(windowMs), REFILL: String(refill), OWN: `n${own}` }
  return SIMPLE[kind as keyof typeof SIMPLE].replace(/\b(?:W[123]|AMOUNT|MAX|WINDOW|REFILL|OWN)\b/g, (name) => values[name]!)
}

/** Whether most requests need no more than the simple part of the script. */
function isSimple({ fields, keys, numbers }: Facts, words: number): boolean {
  const isSmall = fields.length > 0 && numbers <= MAX_CAPTURES && words <= MAX_SIMPLE_WORDS
  // A larger bucket of a subject's own needs a longer expiry, which only the general part works out.
  return keys.length === 1 && isSmall && fields.every(([kind, , max]) => String(kind) in SIMPLE && !(kind === CellKind.tokenBucket && max! < 0))
}

/** The same data, out of the last argument. */
const RARE = withParts(
  `local F=cjson.decode(ARGV[#ARGV])
local LAST,KEYS_EACH=#ARGV-1,#F.keys
local RETAIN,IS_SIMPLE,HEAD,HEAD_END,CELLS,LENGTH
`,
  {
    ...NOT_SIMPLE,
    data: `local PLAN,RETAIN,NUMBERS,QUOTAS,C,R=F.plan,F.retainMs,F.numbers,F.quotas,{},{}
for _,c in ipairs(F.fields) do for _,x in ipairs(c) do C[#C+1]=x end end
for i,k in ipairs(F.keys) do
R[i]=k and {(string.gsub(k.directory,'%x%x',function(x) return string.char(tonumber(x,16)) end)),k.cells,k.format,k.words,k.retainMs}
end`,
  },
)
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

const NO_CELL: Cell = { w: new Float64Array(0), at: 0, length: 0, id: 0 }

/** One that was never used. */
export function newCell(kind: CellKind, id: number): Cell {
  const length = CELL_WORDS[kind]
  const w = new Float64Array(length)
  clearCell(w, 0, length, kind)
  return { w, at: 0, length, id }
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
