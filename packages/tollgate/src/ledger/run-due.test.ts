import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { DIALECTS, openedBy } from '../testing/databases.ts'
import type { AllowanceRule } from './account.ts'
import type { LedgerCommand } from './commands.ts'
import { SqlLedger } from './sql.ts'

const WORKERS = 20
const SUBJECTS = 30
const START_AT = Date.UTC(2027, 0, 31, 12)
const rule = { plan: 'test/plus', amount: 50, every: 'month', timezone: 'UTC', anchor: 'subject', priority: 0, rolloverMax: 0, softLimit: null, isEligible: true } satisfies AllowanceRule
const begin = (more: Partial<AllowanceRule>): LedgerCommand => ({ kind: 'setAllowance', rule: { ...rule, ...more }, at: 'now', proration: 'restart', leftover: 'keep' })
const monthEnds = [Date.UTC(2027, 1, 28, 12), Date.UTC(2027, 2, 31, 12), Date.UTC(2027, 3, 30, 12)]

describe.each(DIALECTS)('%s', (dialect) => {
  let opened: Awaited<ReturnType<typeof openedBy>>
  let now = START_AT
  let ledgers: SqlLedger[]
  beforeAll(async () => {
    opened = await openedBy(5, dialect)
    ledgers = opened.databases.map((database) => new SqlLedger(database, { clock: { now: () => now } }))
    await Promise.all(subjects.map((subject, i) => ledgers[0]!.run(subject, begin({ rolloverMax: i % 2 === 0 ? 20 : 0 }))))
  })
  afterAll(() => opened.drop())

  const subjects = Array.from({ length: SUBJECTS }, (_, i) => `subject:${i}`)
  const workersAtOnce = (meanwhile: () => Promise<unknown> = async () => {}) => Promise.all([...Array.from({ length: WORKERS }, (_, i) => ledgers[i % ledgers.length]!.runDue(100)), meanwhile()])
  /** Plain SQL, since asking the ledger would do what is due. */
  const granted = () => opened.databases[0]!.query(`SELECT a.subject, n.key FROM ${tables('entries')} e JOIN ${tables('accounts')} a ON a.id = e.account_id JOIN ${tables('entry_notes')} n ON n.account_id = e.account_id AND n.seq = e.seq WHERE e.kind = 'grant' AND n.key IS NOT NULL ORDER BY a.id, e.seq`)
  const tables = (name: string) => (dialect === 'postgres' ? `tollgate.${name}` : name)
  const each = (periods: readonly number[]) => subjects.flatMap((subject) => periods.map((startAt) => ({ subject, key: `test/plus ${startAt}` })))
  const sorted = (rows: readonly object[]) => rows.map((row) => JSON.stringify(row)).toSorted()

  it('grants a period once, however many workers run at once, and while customers spend', async () => {
    now = monthEnds[0]! - 1
    await workersAtOnce()
    expect(sorted(await granted())).toEqual(sorted(each([START_AT])))
    now = monthEnds[0]!
    await workersAtOnce(() => Promise.all(subjects.map((subject, i) => ledgers[i % ledgers.length]!.run(subject, { kind: 'deduct', id: 'meanwhile', amount: 10 }))))
    expect(sorted(await granted())).toEqual(sorted(each([START_AT, monthEnds[0]!])))
    const balances = await Promise.all(subjects.map((subject) => ledgers[0]!.balance(subject)))
    expect(balances.map(({ balance }) => balance)).toEqual(subjects.map((_, i) => (i % 2 === 0 ? 60 : 40)))
    expect(await ledgers[0]!.verify(null)).toEqual([])
  })

  it('does nothing when the clock was set back', async () => {
    const before = await granted()
    now = START_AT + 1
    expect(await workersAtOnce()).toEqual([...Array<number>(WORKERS).fill(0), undefined])
    expect(await granted()).toEqual(before)
  })

  it('makes up for each period, once, when workers come two months late', async () => {
    now = monthEnds[2]! + 3 * 86_400_000
    await workersAtOnce()
    expect(sorted(await granted())).toEqual(sorted(each([START_AT, ...monthEnds])))
    expect(await ledgers[0]!.runDue(100)).toBe(0)
    expect(await ledgers[0]!.verify(null)).toEqual([])
  })
})
