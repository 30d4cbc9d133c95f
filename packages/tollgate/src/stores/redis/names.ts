import { createHash } from 'node:crypto'
import type { Charge } from '../../decide/charge.ts'

/** Of the names and of what is kept under them. Another format is another set of keys: two versions never misread each other. */
export const KEY_FORMAT = 1

/**
 * Subjects are spread over so many partitions, each with a hash tag: all keys of a subject are in one slot of a cluster, and
 * a partition that was lost can be told from a new subject. It is never changed.
 */
const PARTITIONS = 256

/** The names of one store's keys. Each begins with the prefix, the format and the subject's partition. */
export class Names {
  readonly #prefix: string
  readonly #bases: readonly string[]

  constructor(prefix: string) {
    this.#prefix = `${prefix}${KEY_FORMAT}:`
    this.#bases = Array.from({ length: PARTITIONS }, (_, i) => `${this.#prefix}{${tagOf(i)}}`)
  }

  of(subject: string): SubjectNames {
    const name = textName(subject)
    const partition = hash(name) % PARTITIONS
    return new SubjectNames(this.#bases[partition]!, name, partition)
  }

  /** An id that says in which partition its subject is. */
  reservationId(subject: string, id: string): string {
    return `${id}~${tagOf(hash(textName(subject)) % PARTITIONS)}`
  }

  /** Of a reservation; `undefined` for an id that no reservation has. */
  reservation(id: string): string | undefined {
    const tag = /~([0-9a-f]{2})$/.exec(id)?.[1]
    return tag && `${this.#prefix}{${tag}}v${textName(id)}`
  }

  /** A key that belongs to no partition. */
  common(name: string): string {
    return `${this.#prefix}${name}`
  }
}

export class SubjectNames {
  /** Of the partition: says since when it has been there. */
  readonly sentinel: string
  readonly record: string
  readonly partition: number
  readonly #name: string

  constructor(base: string, name: string, partition: number) {
    this.sentinel = base
    this.record = `${base}s${name}`
    this.partition = partition
    this.#name = name
  }

  /** Of its partitions. */
  get index(): string {
    return `${this.sentinel}i${this.#name}`
  }

  /** Of its reservations. */
  get reservations(): string {
    return `${this.sentinel}j${this.#name}`
  }

  /** What the keys of the subject's partitions begin with. Its length is told, so that no subject can imitate another's. */
  get parts(): string {
    return `${this.sentinel}x${this.#name.length}:${this.#name}`
  }

  reservation(id: string): string {
    return `${this.sentinel}v${textName(id)}`
  }

  receipt(id: string): string {
    return `${this.sentinel}k${textName(id)}`
  }
}

/** What a cell of its own is called in the subject's index, after `parts`. */
export function memberOf(c: Charge): string {
  return `${memberPrefix(c)}${c.digest === '' ? '-' : `t${c.digest}`}${textName(c.partition)}`
}

/** What the members of all cells of a limit begin with. */
export function memberPrefix({ cell, kind }: Pick<Charge, 'cell' | 'kind'>): string {
  return `${limitPrefix(cell)}${kind}`
}

export function limitPrefix(cell: string): string {
  return `p${cellNumber(cell).toString(16).padStart(8, '0')}`
}

const DIGEST_LENGTH = 22
const PREFIX_LENGTH = 'p'.length + 8 + 1

/** The partition that a member is about. */
export function partitionOf(member: string): string {
  const rest = member.slice(PREFIX_LENGTH)
  return nameText(rest.slice(rest.startsWith('t') ? 1 + DIGEST_LENGTH : 1))
}

/** A reservation's member of the index. */
export function reservationMember(id: string): string {
  return `v${textName(id)}`
}

const numbers = new Map<string, number>()
const cells = new Map<number, string>()

/**
 * A cell's stable identity as a number of 32 bits: the same in every process and version.
 * @throws Error for a name whose number another limit of this process has, as one in four thousand million pairs would
 */
export function cellNumber(cell: string): number {
  const known = numbers.get(cell)
  if (known !== undefined) return known
  const number = createHash('sha1').update(cell).digest().readUInt32BE()
  const other = cells.get(number)
  if (other !== undefined) throw new Error(`limits '${cell}' and '${other}' have the same number in Redis; rename one of them`)
  numbers.set(cell, number)
  cells.set(number, cell)
  return number
}

/** Redis keeps any bytes, but half of a surrogate pair becomes another character on the way there: such texts are escaped. */
function textName(text: string): string {
  return UNSAFE.test(text) ? `\0${JSON.stringify(text)}` : text
}

function nameText(name: string): string {
  return name.startsWith('\0') ? (JSON.parse(name.slice(1)) as string) : name
}

const UNSAFE = /^\0|\p{Surrogate}/u

const tagOf = (partition: number): string => partition.toString(16).padStart(2, '0')

/** FNV-1a over UTF-16 code units (Fowler, Noll, Vo). Which subjects share a partition matters to nobody. */
function hash(text: string): number {
  let h = 0x811c9dc5
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193)
  return h >>> 0
}
