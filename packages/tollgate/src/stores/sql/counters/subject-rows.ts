import { type Charge, isPartitioned } from '../../../decide/charge.ts'
import { readBody, writeBody } from './body.ts'
import { decodeCell, encodeCell, type KeptCell, type StoredCell, unusedCell, untilOf } from './cell.ts'
import { cellKey, limitKey, RECORD } from './keys.ts'
import { NO_RECORD, SubjectRecord } from './record.ts'
import type { Cleared, CounterRow } from './rows.ts'
import { rounded } from './until.ts'

/** A cell's row: its body as it was loaded, until somebody needs the cell or puts another there. */
interface CellRow {
  body?: string
  cell?: KeptCell
  isChanged: boolean
}

/** One subject's rows: its record, and the cells that are counted per something. */
export class SubjectRows {
  readonly cleared: Cleared[] = []
  readonly #key: string
  readonly #cells = new Map<string, CellRow>()
  #body: string | undefined
  #record: SubjectRecord | undefined
  #isRecordChanged = false

  /** @param key of the subject. */
  constructor(key: string) {
    this.#key = key
  }

  /** A row as it was loaded. */
  add(cell: string, body: string): void {
    if (cell === RECORD) this.#body = body
    else this.#cells.set(cell, { body, isChanged: false })
  }

  get record(): SubjectRecord {
    return (this.#record ??= this.#body === undefined ? NO_RECORD : SubjectRecord.read(this.#body, `the record of subject ${this.#key}`))
  }

  set record(record: SubjectRecord) {
    this.#record = record
    this.#isRecordChanged = true
  }

  cell(c: Charge): KeptCell {
    if (!isPartitioned(c)) return this.record.cell(c.cell, c.kind, `the record of subject ${this.#key}`) ?? unusedCell(c)
    const row = this.#cells.get(cellKey(c))
    return row ? this.#read(row) : unusedCell(c)
  }

  /** The cells that a limit has in rows of their own, as far as they were asked for. */
  partitions({ cell, kind }: Charge): KeptCell[] {
    const prefix = `${limitKey(cell)}${kind} `
    return [...this.#cells].filter(([key]) => key.startsWith(prefix)).map(([, row]) => this.#read(row))
  }

  putCell(cell: KeptCell): void {
    this.#cells.set(cellKey({ ...cell, cell: cell.name }), { cell, isChanged: true })
  }

  /** Deletes the rows of a limit; without one all, the record included. */
  clear(limit?: string): void {
    const prefix = limit === undefined ? '' : limitKey(limit)
    this.cleared.push({ subject: this.#key, prefix })
    for (const key of this.#cells.keys()) if (key.startsWith(prefix)) this.#cells.delete(key)
    if (limit !== undefined) return
    this.#body = undefined
    this.#record = undefined
    this.#isRecordChanged = false
  }

  changed(now: number): CounterRow[] {
    const changed = [...this.#cells].flatMap(([key, { cell, isChanged }]) => (isChanged ? this.#row(key, untilOf(cell!), now, () => writeBody(encodeCell(cell!))) : []))
    if (this.#isRecordChanged) changed.push(this.#row(RECORD, this.record.until, now, () => this.record.write(now)))
    return changed
  }

  #read(row: CellRow): KeptCell {
    const what = `a cell of subject ${this.#key}`
    return (row.cell ??= decodeCell(readBody(row.body!, what) as StoredCell, what))
  }

  #row(cell: string, until: number, now: number, write: () => string): CounterRow {
    return until > now ? { subject: this.#key, cell, body: write(), expires_at: rounded(until) } : { subject: this.#key, cell, body: '', expires_at: 0 }
  }
}
