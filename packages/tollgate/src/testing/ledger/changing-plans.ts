import { deepEqual, equal } from 'node:assert/strict'
import type { AllowanceRule } from '../../ledger/account.ts'
import type { SetAllowance } from '../../ledger/commands.ts'
import { DAY_MS, HOUR_MS, type LedgerFixture, type LedgerScenarios, overdraft, ruleOf, START_AT } from './fixture.ts'

const small = ruleOf({ plan: 'set/small', amount: 100, every: 10 * DAY_MS })
const middle = ruleOf({ plan: 'set/middle', amount: 500, every: 10 * DAY_MS })
const large = ruleOf({ plan: 'set/large', amount: 1100, every: 10 * DAY_MS })
const prorate: Partial<SetAllowance> = { proration: 'prorate' }
const atEnd: Partial<SetAllowance> = { at: 'periodEnd' }

/** Half of the running period is over. */
const half = (f: LedgerFixture): void => f.clock.set(START_AT + 5 * DAY_MS)

/** What becomes of credits when the plan changes. */
export const changingPlans: LedgerScenarios = {
  'a change at once begins a new period with a whole allowance, and what is left of the old one stays to its end': async (f) => {
    await f.plan(small)
    half(f)
    await f.plan(middle)
    await f.has({ available: 600 })
    f.clock.set(START_AT + 10 * DAY_MS)
    await f.has({ available: 500, granted: 600 })
    f.clock.set(START_AT + 15 * DAY_MS)
    await f.has({ available: 500, granted: 1100 })
  },

  'or goes': async (f) => {
    await f.plan(small)
    await f.grants(7)
    await f.deducts('d', 30)
    await f.plan(middle, { leftover: 'void' })
    await f.has({ available: 507, expired: 70 })
    deepEqual((await f.allEntries()).filter(({ kind }) => kind === 'void').map(({ amount, reason }) => [amount, reason]), [[-70, 'plan changed']])
  },

  'what was held or spent of an allowance that goes does not come back': async (f) => {
    await f.plan(small)
    await f.deducts('d', 30)
    await f.holds('h', 30)
    await f.plan(middle, { leftover: 'void' })
    await f.releases('h')
    await f.refunds('d')
    await f.has({ available: 500, granted: 600, expired: 100 })
  },

  'that holds for what was carried over, too': async (f) => {
    const plan = { ...small, rolloverMax: 30 }
    await f.plan(plan)
    f.clock.set(START_AT + 10 * DAY_MS)
    await f.deducts('d', 30)
    await f.has({ available: 100, spent: 30 })
    await f.plan(middle, { leftover: 'void' })
    await f.refunds('d')
    await f.has({ available: 500, expired: 100 + 100 + 30 })
  },

  'no plan grants nothing, and what is left stays to its end, or goes': async (f) => {
    await f.plan(small)
    await f.plan(null)
    await f.has({ available: 100 })
    f.clock.set(START_AT + 10 * DAY_MS)
    await f.has({ available: 0, granted: 100 })
    await f.plan(small)
    await f.plan(null, { leftover: 'void' })
    await f.has({ available: 0, granted: 200 })
    f.clock.advance(100 * DAY_MS)
    await f.has({ available: 0, granted: 200 })
  },

  'a change at the end of the period waits for it': async (f) => {
    await f.plan(small)
    half(f)
    const answer = await f.plan(middle, atEnd)
    equal(answer.changesAt, START_AT + 10 * DAY_MS)
    await f.has({ available: 100 })
    f.clock.set(START_AT + 10 * DAY_MS - 1)
    await f.has({ available: 100 })
    f.clock.set(START_AT + 10 * DAY_MS)
    await f.has({ available: 500, granted: 600, expired: 100 })
    f.clock.set(START_AT + 20 * DAY_MS)
    await f.has({ available: 500, granted: 1100 })
  },

  'at the end of the period a plan can end, and come again': async (f) => {
    await f.plan(small)
    await f.plan(null, atEnd)
    f.clock.set(START_AT + 30 * DAY_MS)
    await f.has({ available: 0, granted: 100 })
    await f.plan(small)
    await f.has({ available: 100, granted: 200 })
  },

  'a change that waits is taken back by asking for the plan that runs, and replaced by another': async (f) => {
    await f.plan(small)
    await f.plan(middle, atEnd)
    await f.plan(large, atEnd)
    await f.plan(small, atEnd)
    f.clock.set(START_AT + 10 * DAY_MS)
    await f.has({ available: 100, granted: 200 })
    await f.plan(null, atEnd)
    await f.plan(middle, atEnd)
    await f.plan(large)
    f.clock.set(START_AT + 20 * DAY_MS)
    await f.has({ granted: 200 + 1100 + 1100, available: 1100 })
  },

  'there is no end to wait for where no period runs': async (f) => {
    await f.changesNothing(async () => equal((await f.plan(middle, atEnd)).changesAt, undefined))
    await f.plan(ruleOf({ isEligible: false }))
    await f.changesNothing(async () => equal((await f.plan(middle, atEnd)).changesAt, undefined))
  },

  'at the end of the period the old plan says what is carried over': async (f) => {
    await f.plan({ ...small, rolloverMax: 40 })
    await f.plan(middle, atEnd)
    f.clock.set(START_AT + 10 * DAY_MS)
    await f.has({ available: 540 })
    f.clock.set(START_AT + 20 * DAY_MS)
    await f.has({ available: 500 })
  },

  'a subject\'s own periods do not drift when they follow those of the calendar': async (f) => {
    f.clock.set(Date.UTC(2027, 0, 30, 12))
    await f.plan(ruleOf({ plan: 'set/daily', every: 'day', anchor: 'calendar' }))
    await f.plan(ruleOf(), atEnd)
    for (const [i, [month, day]] of [[0, 31], [1, 28], [2, 31], [3, 30], [4, 31]].entries()) {
      f.clock.set(Date.UTC(2027, month!, day) - 1)
      await f.has({ granted: 100 * (i + 1) })
      f.clock.set(Date.UTC(2027, month!, day))
      await f.has({ granted: 100 * (i + 2), available: 100 })
    }
  },

  'of the same plan nothing is granted again, and another amount counts from the next period on': async (f) => {
    await f.plan(small)
    await f.plan(small)
    half(f)
    for (const change of [{}, prorate, { leftover: 'void' }] as const) await f.plan({ ...small, amount: 300 }, change)
    await f.has({ available: 100, granted: 100 })
    f.clock.set(START_AT + 10 * DAY_MS)
    await f.has({ available: 300, granted: 400 })
  },

  'prorated, the period goes on, and the difference is granted for what is left of it': async (f) => {
    await f.plan(small)
    half(f)
    await f.plan(large, prorate)
    await f.has({ available: 600, granted: 600 })
    f.clock.set(START_AT + 10 * DAY_MS)
    await f.has({ available: 1100 })
  },

  'prorated downwards, the difference is taken back, as far as it is neither spent nor held': async (f) => {
    await f.plan(large)
    await f.grants(50)
    half(f)
    await f.plan(small, prorate)
    await f.has({ available: 650, expired: 500 })
    await f.plan(large, prorate)
    await f.deducts('d', 700)
    await f.holds('h', 200)
    await f.plan(small, prorate)
    await f.has({ available: 50, reserved: 200 })
    f.clock.set(START_AT + 10 * DAY_MS)
    await f.has({ available: 150, reserved: 0 })
  },

  'a difference is exact, and rounded in nobody\'s favour but by less than one': async (f) => {
    const every = 30 * DAY_MS
    const most = 2 ** 31 - 1
    await f.plan(ruleOf({ plan: 'a', amount: 0, every }))
    f.clock.set(START_AT + 20 * DAY_MS)
    await f.plan(ruleOf({ plan: 'b', amount: most, every }), prorate)
    await f.has({ available: Math.floor(most / 3) })
  },

  'going to and fro takes nothing from whoever spent nothing': async (f) => {
    await f.plan(large)
    half(f)
    for (const plan of [small, large, middle, small, large]) await f.plan(plan, prorate)
    await f.has({ available: 1100 })
  },

  'going to and fro grants nothing twice to whoever spends in between': async (f) => {
    const spendAll = async (id: string) => f.deducts(id, (await f.ledger.balance(f.user)).available)
    await f.plan(small)
    half(f)
    for (const [i, plan] of [large, small, middle, small, large, middle, large, small, large].entries()) {
      await f.plan(plan, prorate)
      await spendAll(`d${i}`)
    }
    await f.has({ spent: 600, available: 0 })
  },

  'nor to whoever begins anew in between': async (f) => {
    const spendAll = async (id: string) => f.deducts(id, (await f.ledger.balance(f.user)).available)
    for (const change of [prorate, {}]) {
      await f.plan(small)
      for (let i = 0; i < 3; i++) {
        for (const [plan, how] of [[large, change], [middle, change], [null, {}], [small, {}], [middle, prorate], [large, prorate], [null, {}], [small, {}]] as const) {
          await f.plan(plan, how)
          await spendAll(`${JSON.stringify(change)} ${i} ${plan?.plan} ${f.newKey()}`)
        }
      }
    }
    const { spent } = await f.ledger.balance(f.user)
    equal(spent <= 100 + 500 + 1100, true, `${spent}`)
  },

  'a whole allowance is granted once a period, however often the plan changes': async (f) => {
    for (let i = 0; i < 5; i++) {
      for (const plan of [small, middle, large, null]) {
        f.clock.advance(HOUR_MS)
        await f.plan(plan)
      }
    }
    await f.has({ granted: 1700 })
    f.clock.set(START_AT + 10 * DAY_MS + 24 * HOUR_MS)
    await f.plan(small)
    await f.has({ granted: 1800 })
  },

  'a plan whose allowance runs is not granted it again by going there prorated from a period that began later': async (f) => {
    const [none, nil] = ['none', 'nil'].map((plan) => ruleOf({ plan: `set/${plan}`, amount: 0, every: 10 * DAY_MS }))
    const unmet = ruleOf({ plan: 'set/unmet', amount: 900, every: 10 * DAY_MS, isEligible: false })
    const daily = ruleOf({ plan: 'set/daily', amount: 0, every: 'day' })
    const wait = (): void => f.clock.advance(60_000)
    for (const detour of [[small], [null, small], [unmet, small], [daily, small], [none!], [nil!], [none!]]) {
      await f.plan(middle)
      for (const plan of detour) {
        wait()
        await f.plan(plan)
      }
      wait()
      await f.plan(middle, prorate)
    }
    await f.has({ available: 600, granted: 600 })
    f.clock.set(START_AT + 12 * DAY_MS)
    await f.has({ available: 500 })
  },

  'nor by what of it was spent, or voided': async (f) => {
    await f.plan(middle)
    await f.deducts('d', 500)
    f.clock.advance(60_000)
    await f.plan(small)
    f.clock.advance(60_000)
    await f.plan(middle, prorate)
    await f.has({ available: 100, granted: 600 })
    await f.plan(large, { leftover: 'void' })
    f.clock.advance(60_000)
    await f.plan(small, { leftover: 'void' })
    await f.plan(large, prorate)
    await f.has({ granted: 1700 })
  },

  'and going back takes nothing of what the other plan gave': async (f) => {
    await f.plan(middle)
    f.clock.advance(60_000)
    await f.plan(small)
    for (const plan of [middle, small, middle, small]) await f.plan(plan, prorate)
    await f.has({ available: 600, granted: 600 })
  },

  'what ran elsewhere counts as given in the period it was taken into, also when it has ended': async (f) => {
    await f.plan(middle)
    f.clock.advance(DAY_MS)
    await f.plan(small)
    await f.plan(middle, prorate)
    f.clock.set(START_AT + 10 * DAY_MS)
    await f.has({ available: 100 })
    await f.plan(large, prorate)
    await f.has({ available: 160 })
    f.clock.set(START_AT + 11 * DAY_MS)
    await f.has({ available: 1100 })
  },

  'nor where periods of both end at one instant': async (f) => {
    const [one, two] = [small, middle].map((rule): AllowanceRule => ({ ...rule, every: 'month', anchor: 'calendar' }))
    await f.plan(two!)
    await f.plan(one!)
    for (const plan of [two!, one!, two!]) await f.plan(plan, prorate)
    await f.has({ available: 600, granted: 600 })
  },

  'a plan of no amount keeps its period, too': async (f) => {
    const none = ruleOf({ plan: 'set/none', amount: 0, every: 10 * DAY_MS })
    await f.plan(none)
    half(f)
    await f.plan(null)
    await f.plan(none)
    await f.plan(large, prorate)
    await f.has({ available: 550 })
    f.clock.set(START_AT + 10 * DAY_MS)
    await f.has({ available: 1100, granted: 1650 })
  },

  'nor is an allowance that runs granted again at the end of a shorter period': async (f) => {
    const daily = ruleOf({ plan: 'set/daily', amount: 20, every: 'day' })
    await f.plan(large)
    for (let day = 1; day <= 9; day++) {
      await f.plan(daily)
      await f.plan(large, atEnd)
      f.clock.set(START_AT + day * DAY_MS)
      await f.has({ available: 1100 })
    }
    f.clock.set(START_AT + 10 * DAY_MS)
    await f.has({ available: 1100, granted: 2200 + 9 * 20 })
  },

  'an allowance that was voided, by a change or by hand, is not granted again in its period': async (f) => {
    await f.plan(small)
    await f.plan(middle, { leftover: 'void' })
    await f.plan(small, { leftover: 'void' })
    await f.has({ available: 0, granted: 600 })
    const lot = (await f.allEntries()).find(({ amount }) => amount === 100)!.lot!
    await f.plan(null)
    await f.refuses('NOT_FOUND', { kind: 'void', lot, key: f.newKey() })
    await f.plan(large)
    const { lot: last } = (await f.allEntries()).at(-1)!
    await f.voids(last!)
    await f.plan(null)
    await f.plan(large)
    await f.has({ available: 0, granted: 1700 })
  },

  'several steps down take back as much as one': async (f) => {
    await f.plan(large)
    half(f)
    await f.plan(middle, prorate)
    await f.plan(small, prorate)
    await f.has({ available: 600 })
    await f.plan(ruleOf({ plan: 'set/none', amount: 0, every: 10 * DAY_MS }), prorate)
    await f.has({ available: 550 })
  },

  'between plans of periods of other lengths a change is not prorated': async (f) => {
    await f.plan(small)
    half(f)
    await f.plan(ruleOf({ plan: 'set/daily', amount: 20, every: 'day' }), prorate)
    await f.has({ available: 120 })
    await f.plan(large, prorate)
    await f.has({ available: 100 + 20 + 1100 })
  },

  'what is left of a prorated period is carried over as the plan at its end says': async (f) => {
    await f.plan(large)
    half(f)
    await f.plan({ ...small, rolloverMax: 250 }, prorate)
    f.clock.set(START_AT + 10 * DAY_MS)
    await f.has({ available: 350 })
  },

  'an amount that changes within the period is no part of a difference': async (f) => {
    await f.plan(small)
    half(f)
    await f.plan({ ...small, amount: 900 })
    await f.plan(large, prorate)
    await f.has({ available: 600 })
  },

  'a refund goes to the plan it came from, while its period runs': async (f) => {
    await f.plan(small)
    await f.deducts('d', 100)
    await f.plan(middle)
    await f.refunds('d')
    await f.has({ available: 600 })
    f.clock.set(START_AT + 10 * DAY_MS)
    await f.has({ available: 500 })
  },

  'a conditional plan takes the place of the one before, and its allowance waits': async (f) => {
    await f.plan(small)
    for (const change of [prorate, {}]) await f.plan({ ...middle, isEligible: false }, { ...change, leftover: 'void' })
    await f.has({ available: 0, granted: 100 })
    await f.plan(middle)
    await f.has({ available: 500 })
  },

  'an upgrade pays what is owed': async (f) => {
    await f.plan(small)
    await f.holds('h', 100)
    await f.commits('h', 130, overdraft(-100))
    await f.plan(middle)
    await f.has({ available: 470 })
  },

  'a hundred changes leave no hundred grants behind': async (f) => {
    await f.plan(small)
    half(f)
    for (let i = 0; i < 100; i++) await f.plan(i % 2 === 0 ? large : small, prorate)
    await f.has({ available: 100 })
    await f.plan(large, prorate)
    await f.deducts('d', 600)
    equal((await f.allEntries()).filter(({ kind }) => kind === 'spend').length, 2)
  },
}
