import { createHash } from 'node:crypto'
import { CellKind } from '../../decide/charge.ts'
import type { Script } from './script.ts'
import { DECIDE, SIMPLE } from './scripts.generated.ts'

/** A pattern of Lua has 32 at most. */
const MAX_CAPTURES = 31
/** Each is a local variable, of which a function of Lua has 200, and fewer in one expression. */
const MAX_SIMPLE_WORDS = 60

/** What a script has to know of one charge; in the data it is these numbers, in the order that `decide.lua` reads. */
export interface ChargeFacts {
  readonly kind: CellKind
  /** Negative: the place of the number that the request brings. */
  readonly amount: number
  readonly max: number
  readonly windowMs: number
  readonly refill: number
  /** Of its key, from 1. */
  readonly key: number
  /** Of its first word among those of the key, from 1. */
  readonly at: number
  readonly cell: number
  readonly head: number
  readonly retainMs: number
  /** Of the number that it brings itself; 0 for none. */
  readonly own: number
  /** What its width has room for. */
  readonly largest: number
}

const numbersOf = ({ kind, amount, max, windowMs, refill, key, at, cell, head, retainMs, own, largest }: ChargeFacts): number[] => [kind, amount, max, windowMs, refill, key, at, cell, head, retainMs, own, largest]

/** What a script has to know of one key: a log has no cells. */
export interface KeyFacts {
  readonly directory: Buffer
  readonly cells: number
  readonly format: string
  readonly words: number
  readonly bytes: number
  readonly retainMs: number
}

export interface Facts {
  readonly plan: string
  readonly retainMs: number
  /** How many numbers a request brings. */
  readonly numbers: number
  readonly quotas: number
  readonly charges: readonly ChargeFacts[]
  readonly keys: readonly (KeyFacts | false)[]
}

/** The script of a layout: its data, and the body with what its simple charges do, word by word. */
export function scriptOf(facts: Facts): Script {
  const { plan, retainMs, numbers, quotas, charges, keys } = facts
  const own = keys[0] as KeyFacts
  const head = Buffer.concat([Buffer.of(Buffer.byteLength(plan)), Buffer.from(plan), own.directory])
  const shapes = keys.map((key) => (key ? `{${luaString(key.directory)},${key.cells},'${key.format}',${key.words},${key.retainMs}}` : 'false'))
  const places = isSimple(facts, own.words) ? simpleParts(charges, numbers, own) : NOT_SIMPLE
  const text = withParts(
    `local RETAIN,LAST,KEYS_EACH=${retainMs},#ARGV,${keys.length}
local IS_SIMPLE,HEAD,HEAD_END,CELLS,LENGTH=${places !== NOT_SIMPLE},${luaString(head)},${7 + head.length},${own.cells},${7 + head.length + own.bytes}
`,
    {
      ...places,
      data: `local PLAN,RETAIN,NUMBERS,QUOTAS=${luaString(Buffer.from(plan))},${retainMs},${numbers},${quotas}
local C,R={${charges.flatMap(numbersOf).join(',')}},{${shapes.join(',')}}`,
    },
  )
  return scriptFrom(text)
}

type Part = 'declare numbers' | 'parse numbers' | 'unpack words' | 'charges' | 'leave when too wide' | 'pack words'

/** The body, each of its places filled in. */
function withParts(prelude: string, parts: Readonly<Record<Part | 'data', string>>): string {
  return prelude + DECIDE.replace(/^--- (.+)$/gm, (_, part: Part) => parts[part])
}

const NOT_SIMPLE: Readonly<Record<Part, string>> = { 'declare numbers': 'local n1', 'parse numbers': '', 'unpack words': '', charges: '', 'leave when too wide': '', 'pack words': '' }

function simpleParts(charges: readonly ChargeFacts[], numbers: number, { format, words }: KeyFacts): Readonly<Record<Part, string>> {
  const list = (letter: string, count: number): string => Array.from({ length: count }, (_, i) => `${letter}${i + 1}`).join(',')
  const names = list('n', numbers)
  const all = list('w', words)
  const tooWide = charges.filter(({ kind }) => kind !== CellKind.cooldown).map(({ at, largest }) => `w${at + 1}>${largest}`)
  return {
    'declare numbers': `local ${names}`,
    'parse numbers': `${names}=string.match(what,'^.......${' (%d+)'.repeat(numbers)}') ${names}=${names.replaceAll(/n\d+/g, '$&+0')}`,
    'unpack words': `local ${all}=struct.unpack('${format}',raw,words_at)`,
    charges: charges.map(simpleCharge).join('\n'),
    'leave when too wide': tooWide.length > 0 ? `if ${tooWide.join(' or ')} then break end` : '',
    'pack words': `call('SETRANGE',KEYS[key],words_at-1,struct.pack('${format}',${all}))`,
  }
}

/** The lines of `simple/` with this charge's words and numbers. */
function simpleCharge({ kind, amount, max, windowMs, refill, at, own }: ChargeFacts): string {
  const number = (value: number): string => (value < 0 ? `n${-value}` : String(value))
  const values: Record<string, string> = { W1: `w${at}`, W2: `w${at + 1}`, W3: `w${at + 2}`, AMOUNT: number(amount), MAX: number(max), WINDOW: String(windowMs), REFILL: String(refill), OWN: `n${own}` }
  return SIMPLE[kind as keyof typeof SIMPLE].replace(/\b(?:W[123]|AMOUNT|MAX|WINDOW|REFILL|OWN)\b/g, (name) => values[name]!)
}

/** Whether most requests need no more than the simple part of the script. */
function isSimple({ charges, keys, numbers }: Facts, words: number): boolean {
  const isSmall = charges.length > 0 && numbers <= MAX_CAPTURES && words <= MAX_SIMPLE_WORDS
  // A larger bucket of a subject's own needs a longer expiry, which only the general part works out.
  return keys.length === 1 && isSmall && charges.every(({ kind, max }) => kind in SIMPLE && !(kind === CellKind.tokenBucket && max < 0))
}

/** The one for all rare layouts: it finds their data in the last argument. */
export const RARE_SCRIPT = scriptFrom(withParts(
  `local F=cjson.decode(ARGV[#ARGV])
local LAST,KEYS_EACH=#ARGV-1,#F.keys
local RETAIN,IS_SIMPLE,HEAD,HEAD_END,CELLS,LENGTH
`,
  {
    ...NOT_SIMPLE,
    data: `local PLAN,RETAIN,NUMBERS,QUOTAS,C,R=F.plan,F.retainMs,F.numbers,F.quotas,{},{}
for _,c in ipairs(F.charges) do for _,x in ipairs(c) do C[#C+1]=x end end
for i,k in ipairs(F.keys) do
R[i]=k and {(string.gsub(k.directory,'%x%x',function(x) return string.char(tonumber(x,16)) end)),k.cells,k.format,k.words,k.retainMs}
end`,
  },
))

function scriptFrom(text: string): Script {
  return { text, sha: createHash('sha1').update(text).digest('hex') }
}

function luaString(bytes: Buffer): string {
  return `'${[...bytes].map((byte) => `\\${String(byte).padStart(3, '0')}`).join('')}'`
}

/** What a request under a rare layout brings. */
export function dataOf({ charges, keys, ...facts }: Facts): string {
  return JSON.stringify({ ...facts, charges: charges.map(numbersOf), keys: keys.map((key) => key && { ...key, directory: key.directory.toString('hex') }) })
}
