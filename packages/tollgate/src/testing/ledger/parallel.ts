import { deepEqual, equal } from 'node:assert/strict'
import { TollgateError } from '../../errors/index.ts'
import { DAY_MS, DENY, type LedgerFixture, type LedgerScenarios, overdraft, ruleOf, START_AT } from './fixture.ts'

const times = <T>(n: number, act: (i: number) => Promise<T>): Promise<T[]> => Promise.all(Array.from({ length: n }, (_, i) => act(i)))

/** The code of the error, or what was answered. */
const outcome = async <T>(act: Promise<T>): Promise<T | string> => act.catch((error: unknown) => (TollgateError.isInstance(error) ? error.code : Promise.reject(error as Error)))

async function spends(f: LedgerFixture, callers: number, amount: number): Promise<number> {
  const answers = await times(callers, (i) => f.ask({ kind: 'deduct', id: `d${i}`, amount }))
  return answers.filter(({ ok }) => ok).length
}

/** Calls that are under way at the same time. */
export const parallel: LedgerScenarios = {
  'of many deductions exactly as many succeed as there are credits for': async (f) => {
    await f.grants(83)
    equal(await spends(f, 200, 1), 83)
    await f.has({ balance: 0, spent: 83 })
  },

  'and so of those that cost more': async (f) => {
    await f.grants(60, { expiresAt: START_AT + 1000 })
    await f.grants(40)
    equal(await spends(f, 50, 7), 14)
    await f.has({ balance: 2 })
  },

  'and of holds': async (f) => {
    await f.grants(30)
    const answers = await times(100, (i) => f.ask({ kind: 'hold', id: `h${i}`, amount: 1, ttlMs: 1000 }))
    equal(answers.filter(({ ok }) => ok).length, 30)
    await f.has({ available: 0, reserved: 30 })
    f.clock.advance(1000)
    await f.has({ available: 30 })
  },

  'twenty workers grant a period once': async (f) => {
    await f.plan(ruleOf({ every: 'day' }))
    for (let day = 1; day <= 3; day++) {
      f.clock.set(START_AT + day * DAY_MS)
      await times(20, async (i): Promise<unknown> => (i % 2 === 0 ? f.runsDue() : f.ask({ kind: 'touch' })))
      await f.has({ available: 100, granted: 100 + 100 * day, expired: 100 * day })
    }
  },

  'twenty changes to the same plan grant once': async (f) => {
    await times(20, () => f.ask({ kind: 'setAllowance', rule: ruleOf(), at: 'now', proration: 'restart', leftover: 'keep' }))
    await f.has({ granted: 100 })
  },

  'of repeats of one command one has an effect': async (f) => {
    const grants = await times(20, () => f.ask({ kind: 'grant', amount: 50, source: 'pack', key: 'k' }))
    equal(grants.filter(({ isReplay }) => !isReplay).length, 1)
    equal(new Set(grants.map(({ lot }) => lot)).size, 1)
    const deductions = await times(20, () => f.ask({ kind: 'deduct', id: 'd', amount: 5 }))
    equal(deductions.filter(({ isReplay }) => !isReplay).length, 1)
    const refunds = await times(20, () => f.ask({ kind: 'refund', id: 'd', key: 'r', amount: 2 }))
    deepEqual([refunds.filter(({ isReplay }) => !isReplay).length, new Set(refunds.map(({ refunded }) => refunded)).size], [1, 1])
    await f.has({ balance: 47, spent: 3 })
  },

  'a reservation is settled once': async (f) => {
    await f.grants(10)
    await f.holds('h', 4)
    const outcomes = await times(40, (i) => outcome(f.ask(i % 2 === 0 ? { kind: 'commit', id: 'h', overage: DENY } : { kind: 'release', id: 'h' })))
    equal(outcomes.filter((each) => typeof each !== 'string' && !each.isReplay).length, 1)
    equal(outcomes.filter((each) => each === 'ALREADY_SETTLED').length, 20)
    const { balance, reserved } = await f.ledger.balance(f.user)
    deepEqual([[6, 10].includes(balance), reserved], [true, 0])
  },

  'refunds at once never give more than was taken': async (f) => {
    await f.grants(10)
    await f.deducts('d', 10)
    const outcomes = await times(20, (i) => outcome(f.ask({ kind: 'refund', id: 'd', amount: 3, key: `r${i}` })))
    equal(outcomes.filter((each) => typeof each !== 'string').length, 3)
    await f.has({ balance: 9, spent: 1 })
  },

  'one command that is refused does not hinder the others': async (f) => {
    await f.grants(100)
    const outcomes = await times(30, (i) => outcome(f.ask(i % 3 === 0 ? ({ kind: 'deduct', id: `d${i}`, amount: -1 } as never) : i % 3 === 1 ? { kind: 'release', id: `never${i}` } : { kind: 'deduct', id: `d${i}`, amount: 1 })))
    deepEqual(outcomes.map((each) => (typeof each === 'string' ? each : each.ok)), Array.from({ length: 30 }, (_, i) => ['INVALID_REQUEST', 'UNKNOWN_RESERVATION', true][i % 3]))
    await f.has({ spent: 10 })
  },

  'a mixture adds up, of two subjects': async (f) => {
    for (const subject of [f.user, f.other]) await f.grants(1000, {}, subject)
    await times(100, async (i) => {
      const subject = i % 2 === 0 ? f.user : f.other
      const id = `r${i}`
      await f.ask({ kind: 'hold', id, amount: 5, ttlMs: 1000 }, subject)
      if (i % 5 === 0) await f.ask({ kind: 'release', id }, subject)
      else await f.ask({ kind: 'commit', id, amount: i % 3 === 0 ? 7 : 4, overage: overdraft(-50) }, subject)
      if (i % 7 === 0 && i % 5 !== 0) await f.ask({ kind: 'refund', id, key: id }, subject)
    })
    for (const [subject, first] of [[f.user, 0], [f.other, 1]] as const) {
      const used = Array.from({ length: 50 }, (_, i) => first + 2 * i).reduce((sum, i) => sum + (i % 5 === 0 || i % 7 === 0 ? 0 : i % 3 === 0 ? 7 : 4), 0)
      await f.has({ spent: used, balance: 1000 - used, reserved: 0 }, subject)
    }
  },
}
