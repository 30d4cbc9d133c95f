import { describe, expect, it } from 'vitest'
import { CellKind } from '../../../decide/charge.ts'
import { chargeOf } from '../../../testing/charges.ts'
import { writeBody } from './body.ts'
import { unusedCell } from './cell.ts'
import { NO_RECORD, SubjectRecord } from './record.ts'

const NOW = 1_800_000_000_000
const quota = chargeOf({ cell: 'set/quota', kind: CellKind.quota, startAt: NOW, endAt: NOW + 1000 })
const used = { ...unusedCell(quota), words: Float64Array.of(NOW, 3) }
/** As a newer version might write them. */
const foreign = { n: 'set/quota', k: 99, u: NOW + 5000, w: 'whatever', x: { y: [1] } }
const forEver = { n: 'set/other', k: 98 }

const written = (record: SubjectRecord, now: number): { cells: unknown[] } => JSON.parse(record.write(now)) as { cells: unknown[] }
const read = (cells: unknown[]): SubjectRecord => SubjectRecord.read(writeBody({ plan: 'set/free', until: NOW + 10, cells }), 'the record of subject u')

describe('a record', () => {
  it('keeps cells of kinds it does not know as they are, beside one of the same limit', () => {
    const record = read([foreign, forEver]).with('set/plus', NOW, [used])
    expect(written(record, NOW).cells).toEqual([foreign, forEver, expect.objectContaining({ n: 'set/quota', k: CellKind.quota, w: [NOW, 3] })])
    expect(record.cell('set/quota', CellKind.quota, 'it')).toEqual(used)
  })

  it('drops cells whose time is over when it is written', () => {
    const record = read([foreign]).with('set/free', NOW, [used])
    expect(written(record, NOW + 1000).cells).toEqual([foreign])
    expect(written(record, NOW + 5000).cells).toEqual([])
  })

  it.each([
    ['as long as its plan is remembered', read([]), NOW + 10],
    ['as long as the longest of its cells', read([foreign]).with('p', NOW, [used]), NOW + 5000],
    ['for ever, with a cell that is', read([foreign, forEver]), Infinity],
    ['not at all, when there is none', NO_RECORD, 0],
  ])('is kept %s', (_, record, until) => expect(record.until).toBe(until))

  it('forgets the cells it is told to, of every kind', () => {
    expect(written(read([foreign, forEver]).without((name) => name === 'set/quota'), NOW).cells).toEqual([forEver])
  })

  it.each([
    ['that is not JSON', '{', /the record of subject u is damaged: it is not JSON; restore it, or erase the subject/],
    ['that is null', 'null', /names no format/],
    ['without a format', '{"cells":[]}', /names no format/],
    ['without cells', '{"v":1,"until":1}', /lacks its cells/],
    ['of a newer format', '{"v":2,"cells":[]}', /the record of subject u was written by a newer version of Tollgate \(format 2, this one reads 1\); upgrade this process/],
  ])('%s is refused', (_, body, message) => expect(() => SubjectRecord.read(body, 'the record of subject u')).toThrow(message))
})
