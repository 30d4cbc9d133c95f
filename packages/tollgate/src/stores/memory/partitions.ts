import { type Cell, type CellKind, CELL_WORDS, clearCell, type Charge, MAX_LOGGED } from '../../decide/charge.ts'
import { growLog } from '../../decide/kernel.ts'
import { IntTable } from './int-table.ts'
import type { WordPool } from './word-pool.ts'

const OWNER = 0
/** The scope's id and, in its last five bits, how often the cell was doubled: a column less for a million users. */
const SCOPE = 1
const NEXT = 2
const ADDRESS = 3
const NONE = -1
const DOUBLING_BITS = 5
/** A digest is 128 bits: two words in front of the cell. */
const DIGEST_WORDS = 2

/** A limit and the dimension values it is counted per; kept once for all subjects that use it. */
interface Scope {
  id: number
  slot: number
  kind: CellKind
  partition: string
  hasDigest: boolean
  entries: number
}

/**
 * Cells with an identity of their own: a world, a text's digest, or a log that grows. An open-addressing table
 * (linear probing, Knuth 6.4) from owner, scope and digest to an entry. Scopes are interned exactly and digests are
 * compared in full, so no two partitions ever share a cell.
 */
export class Partitions {
  readonly #pool: WordPool
  readonly #entries = new IntTable(4)
  readonly #scopes: (Scope | undefined)[] = []
  readonly #freeScopes: number[] = []
  readonly #bySlot: Map<string, Scope>[] = []
  readonly #digest = new Int32Array(4)
  readonly #digestWords = new Float64Array(this.#digest.buffer)
  #index = new Int32Array(1024).fill(NONE)

  constructor(pool: WordPool) {
    this.#pool = pool
  }

  /** Names an entry's cell within its owner's record: below the slots of unpartitioned cells and below -1. */
  static cellId(entry: number): number {
    return -2 - entry
  }

  get size(): number {
    return this.#entries.size
  }

  /** The entry of a charge, -1 where there is none. */
  find(owner: number, c: Charge): number {
    const scope = this.#bySlot[c.slot]?.get(c.partition)
    if (!scope) return NONE
    if (scope.hasDigest) this.#readDigest(c.digest)
    const mask = this.#index.length - 1
    for (let i = this.#hash(owner, scope) & mask; this.#index[i] !== NONE; i = (i + 1) & mask) {
      if (this.#is(this.#index[i]!, owner, scope)) return this.#index[i]!
    }
    return NONE
  }

  /** A new entry at the head of the owner's chain; returns it. */
  add(owner: number, c: Charge, head: number): number {
    if ((this.#entries.size + 1) * 4 > this.#index.length * 3) this.#resize()
    const scope = this.#scopeFor(c)
    scope.entries++
    const entry = this.#entries.add()
    const address = this.#pool.allocate(digestWords(scope) + lengthOf(c.kind, 0))
    this.#entries.set(entry, OWNER, owner)
    this.#entries.set(entry, SCOPE, scope.id << DOUBLING_BITS)
    this.#entries.set(entry, NEXT, head)
    this.#entries.set(entry, ADDRESS, address)
    if (scope.hasDigest) {
      this.#readDigest(c.digest)
      this.#pool.chunk(address).set(this.#digestWords, this.#pool.offset(address))
    }
    const cell = this.cell(entry, { w: this.#pool.chunk(address), at: 0, length: 0, id: 0 })
    clearCell(cell.w, cell.at, cell.length, c.kind)
    this.#insert(entry)
    return entry
  }

  /** Takes an entry out of the table. The caller unlinks it from its owner's chain. */
  remove(entry: number): void {
    this.#takeOut(entry)
    const scope = this.scope(entry)
    this.#pool.release(this.#entries.get(entry, ADDRESS), digestWords(scope) + lengthOf(scope.kind, this.#doublings(entry)))
    this.#entries.remove(entry)
    if (--scope.entries > 0) return
    this.#bySlot[scope.slot]!.delete(scope.partition)
    this.#scopes[scope.id] = undefined
    this.#freeScopes.push(scope.id)
  }

  next(entry: number): number {
    return this.#entries.get(entry, NEXT)
  }

  setNext(entry: number, next: number): void {
    this.#entries.set(entry, NEXT, next)
  }

  scope(entry: number): Scope {
    return this.#scopes[this.#entries.get(entry, SCOPE) >>> DOUBLING_BITS]!
  }

  #doublings(entry: number): number {
    return this.#entries.get(entry, SCOPE) & ((1 << DOUBLING_BITS) - 1)
  }

  /** Points `cell` at the entry's words. */
  cell(entry: number, cell: Cell): Cell {
    const address = this.#entries.get(entry, ADDRESS)
    const scope = this.scope(entry)
    cell.w = this.#pool.chunk(address)
    cell.at = this.#pool.offset(address) + digestWords(scope)
    cell.length = lengthOf(scope.kind, this.#doublings(entry))
    cell.id = Partitions.cellId(entry)
    return cell
  }

  /** Doubles the room of a log, up to its bound: from then on it merges (see `append` in the kernel). */
  grow(entry: number, cell: Cell): void {
    const scope = this.scope(entry)
    const length = lengthOf(scope.kind, this.#doublings(entry) + 1)
    if (length === cell.length) return
    const skip = digestWords(scope)
    const address = this.#entries.get(entry, ADDRESS)
    const grown = this.#pool.allocate(skip + length)
    const to: Cell = { w: this.#pool.chunk(grown), at: this.#pool.offset(grown) + skip, length, id: cell.id }
    to.w.set(cell.w.subarray(cell.at - skip, cell.at), to.at - skip)
    clearCell(to.w, to.at, to.length, scope.kind)
    growLog(cell, to)
    this.#entries.set(entry, ADDRESS, grown)
    this.#entries.set(entry, SCOPE, this.#entries.get(entry, SCOPE) + 1)
    this.#pool.release(address, skip + cell.length)
    Object.assign(cell, to)
  }

  #scopeFor(c: Charge): Scope {
    const scopes = (this.#bySlot[c.slot] ??= new Map())
    let scope = scopes.get(c.partition)
    if (!scope) {
      const id = this.#freeScopes.pop() ?? this.#scopes.length
      scope = { id, slot: c.slot, kind: c.kind, partition: c.partition, hasDigest: c.digest !== '', entries: 0 }
      this.#scopes[id] = scope
      scopes.set(c.partition, scope)
    }
    return scope
  }

  /** 22 characters of base64url, 132 bits of which the last four are zero. */
  #readDigest(digest: string): void {
    const d = this.#digest.fill(0)
    for (let i = 0; i < digest.length; i++) {
      const bit = i * 6
      const value = BASE64URL[digest.charCodeAt(i)]!
      const word = bit >>> 5
      const shift = 26 - (bit & 31)
      if (shift >= 0) d[word]! |= value << shift
      else {
        d[word]! |= value >> -shift
        if (word < 3) d[word + 1]! |= value << (32 + shift)
      }
    }
    // Every 64-bit pattern but a NaN's compares equal to itself: one exponent bit less keeps NaN out.
    d[1]! &= ~0x40000000
    d[3]! &= ~0x40000000
  }

  #is(entry: number, owner: number, scope: Scope): boolean {
    if (this.#entries.get(entry, OWNER) !== owner || this.#entries.get(entry, SCOPE) >>> DOUBLING_BITS !== scope.id) return false
    if (!scope.hasDigest) return true
    const address = this.#entries.get(entry, ADDRESS)
    const w = this.#pool.chunk(address)
    const at = this.#pool.offset(address)
    return w[at] === this.#digestWords[0] && w[at + 1] === this.#digestWords[1]
  }

  #hash(owner: number, scope: Scope): number {
    return mix(owner, scope.id, scope.hasDigest ? this.#digest[0]! : 0)
  }

  #homeOf(entry: number): number {
    const scope = this.scope(entry)
    if (scope.hasDigest) {
      const address = this.#entries.get(entry, ADDRESS)
      this.#digestWords[0] = this.#pool.chunk(address)[this.#pool.offset(address)]!
    }
    return this.#hash(this.#entries.get(entry, OWNER), scope) & (this.#index.length - 1)
  }

  #insert(entry: number): void {
    const mask = this.#index.length - 1
    let i = this.#homeOf(entry)
    while (this.#index[i] !== NONE) i = (i + 1) & mask
    this.#index[i] = entry
  }

  /** Deletion without tombstones: what follows in the run moves up (Knuth 6.4, algorithm R). */
  #takeOut(entry: number): void {
    const mask = this.#index.length - 1
    let hole = this.#homeOf(entry)
    while (this.#index[hole] !== entry) hole = (hole + 1) & mask
    this.#index[hole] = NONE
    for (let i = (hole + 1) & mask; this.#index[i] !== NONE; i = (i + 1) & mask) {
      const home = this.#homeOf(this.#index[i]!)
      if (((i - home) & mask) < ((i - hole) & mask)) continue
      this.#index[hole] = this.#index[i]!
      this.#index[i] = NONE
      hole = i
    }
  }

  #resize(): void {
    const old = this.#index
    this.#index = new Int32Array(old.length * 2).fill(NONE)
    for (const entry of old) if (entry !== NONE) this.#insert(entry)
  }
}

const digestWords = ({ hasDigest }: Scope): number => (hasDigest ? DIGEST_WORDS : 0)

/** Words of a cell that was doubled so often. */
const lengthOf = (kind: CellKind, doublings: number): number => Math.min(Math.max(CELL_WORDS[kind], 1) << doublings, 2 * MAX_LOGGED)

/** Different in every process, so that nobody outside can aim at one bucket. */
const SEED = (Math.random() * 2 ** 32) | 0

/** MurmurHash3's finalizer over three integers. */
function mix(a: number, b: number, c: number): number {
  let h = SEED ^ Math.imul(a, 0x9e3779b1) ^ Math.imul(b, 0x85ebca6b) ^ c
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return h ^ (h >>> 16)
}

const BASE64URL = new Int32Array(128)
for (let i = 0; i < 64; i++) BASE64URL['ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'.charCodeAt(i)] = i
