import { deepEqual, equal } from 'node:assert/strict'
import type { LedgerCommand } from '../../ledger/commands.ts'
import { DAY_MS, DENY, type LedgerFixture, type LedgerScenarios, overdraft, ruleOf } from './fixture.ts'

const daily = ruleOf({ every: 'day', softLimit: 0.8 })

/** Whether each of some deductions gave the warning. */
async function warned(f: LedgerFixture, ...amounts: number[]): Promise<boolean[]> {
  const all: boolean[] = []
  for (const amount of amounts) all.push((await f.deducts(f.newKey(), amount)).isNear ?? false)
  return all
}

/** The warning before an allowance runs out: once a period. */
export const warning: LedgerScenarios = {
  'whoever takes the allowance to its soft limit is warned, and nobody after': async (f) => {
    await f.plan(daily)
    deepEqual(await warned(f, 79, 1, 1, 10), [false, true, false, false])
  },

  'each period warns anew': async (f) => {
    await f.plan(daily)
    for (let day = 0; day < 3; day++) {
      deepEqual(await warned(f, 95, 5), [true, false])
      f.clock.advance(DAY_MS)
    }
  },

  'a hold warns, as what is held is as good as used': async (f) => {
    await f.plan(daily)
    equal((await f.holds('h', 70)).isNear, undefined)
    equal((await f.holds('h2', 10, 1000)).isNear, true)
    await f.releases('h2')
    deepEqual(await warned(f, 10, 10), [false, false])
  },

  'a commit of more than was held warns': async (f) => {
    await f.plan(daily)
    await f.holds('h', 50)
    equal((await f.commits('h', 120, overdraft(-100))).isNear, true)
  },

  'a repeat is no warning, nor is a denial': async (f) => {
    await f.plan(daily)
    const command: LedgerCommand = { kind: 'deduct', id: 'd', amount: 80 }
    equal((await f.ask(command)).isNear, true)
    equal((await f.ask(command)).isNear, undefined)
    f.clock.advance(DAY_MS)
    equal((await f.denies(1, { kind: 'deduct', id: 'd2', amount: 101 })).isNear, undefined)
    deepEqual(await warned(f, 80), [true])
  },

  'what the plan did not give does not count': async (f) => {
    await f.plan(daily)
    await f.grants(1000, { priority: -1 })
    await f.grants(1000)
    deepEqual(await warned(f, 1000, 79, 1), [false, false, true])
  },

  'a share is exact': async (f) => {
    await f.plan(ruleOf({ softLimit: 0.07 }))
    deepEqual(await warned(f, 6, 1), [false, true])
    await f.plan(ruleOf({ plan: 'set/third', amount: 3, softLimit: 1 }), { leftover: 'void' })
    deepEqual(await warned(f, 2, 1), [false, true])
  },

  'without a soft limit, or an allowance, nobody is warned': async (f) => {
    await f.grants(100)
    deepEqual(await warned(f, 100), [false])
    await f.plan(ruleOf())
    deepEqual(await warned(f, 100), [false])
  },

  'what an operator takes away is no warning to the subject': async (f) => {
    await f.plan(daily)
    const { lot } = (await f.allEntries()).at(-1)!
    equal((await f.voids(lot!)).isNear, undefined)
    const { isNear } = await f.plan(ruleOf({ plan: 'set/small', amount: 10, every: 'day', softLimit: 0.5 }), { leftover: 'void' })
    equal(isNear, undefined)
    deepEqual(await warned(f, 4, 1), [false, true])
  },

  'going to and fro between plans warns once a period': async (f) => {
    const small = { ...daily, plan: 'set/small', amount: 50 }
    await f.plan(daily)
    let warnings = 0
    for (let i = 0; i < 5; i++) {
      warnings += (await warned(f, 12)).filter(Boolean).length
      await f.plan(i % 2 === 0 ? small : daily, { proration: 'prorate' })
    }
    equal(warnings, 1)
    await f.plan(daily, { proration: 'prorate' })
    deepEqual(await warned(f, 30), [false])
  },

  'a warning outlives the grant that it was about, when all of that is taken back': async (f) => {
    await f.plan(daily)
    await f.holds('h', 80)
    await f.releases('h')
    await f.plan(ruleOf({ plan: 'set/none', amount: 0, every: 'day' }), { proration: 'prorate' })
    await f.has({ available: 0 })
    await f.plan(daily, { proration: 'prorate' })
    deepEqual(await warned(f, 80), [false])
    f.clock.advance(DAY_MS)
    deepEqual(await warned(f, 80), [true])
  },

  'a late commit warns when it takes the allowance there': async (f) => {
    await f.plan(daily)
    await f.holds('h', 79, 1000)
    f.clock.advance(5000)
    equal((await f.ask({ kind: 'commit', id: 'h', amount: 85, overage: DENY })).isNear, true)
  },
}
