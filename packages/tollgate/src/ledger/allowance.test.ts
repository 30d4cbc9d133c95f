import { describe, expect, it } from 'vitest'
import { DAY_MS, ruleOf, START_AT } from '../testing/ledger/fixture.ts'
import { Random } from '../testing/random.ts'
import { type AllowanceRule, newAccount } from './account.ts'
import type { SetAllowance } from './commands.ts'
import type { Entry } from './entries.ts'
import { runCommand } from './machine.ts'
import { verifyAccount } from './verify.ts'

const ROUNDS = process.env['TOLLGATE_LONG'] ? 20_000 : 500
const every = 10 * DAY_MS
const AMOUNTS: Readonly<Record<string, number>> = { none: 0, nil: 0, a: 10, b: 100, c: 1000, other: 30, unmet: 70 }
const RULES = Object.entries(AMOUNTS).map(([plan, amount]) => ruleOf({ plan, amount, every: plan === 'other' ? DAY_MS : every, priority: plan === 'c' ? -1 : 0, anchor: plan === 'nil' ? 'calendar' : 'subject' }))

/** What plans gave, less what was taken back, is at most what each of them gives once. */
describe('an allowance is given once', () => {
  it.each([
    ['at one instant', 0],
    ['in minutes', 60_000],
    ['within the shortest period', DAY_MS / 40],
  ])('whatever the plan changes to, %s', (_, stepMs) => {
    const random = new Random(20261122)
    for (let round = 0; round < ROUNDS; round++) {
      const account = newAccount()
      const entries: Entry[] = []
      const had = new Set<string>()
      const story: string[] = []
      let now = START_AT
      const run = (command: Parameters<typeof runCommand>[1]): void => {
        story.push(command.kind === 'setAllowance' ? `${command.rule?.plan} ${command.at} ${command.proration} ${command.leftover}` : `${command.kind} ${'amount' in command ? command.amount : ''}`)
        entries.push(...runCommand(account, command, () => undefined, now).entries)
      }
      for (let i = 0; i < 12; i++) {
        const rule: AllowanceRule | null = random.chance(0.1) ? null : random.pick(RULES)
        const isEligible = rule?.plan !== 'unmet' || random.chance(0.5)
        const change: SetAllowance = { kind: 'setAllowance', rule: rule && { ...rule, isEligible }, at: 'now', proration: random.pick(['restart', 'prorate']), leftover: random.pick(['keep', 'keep', 'void']) }
        run(change)
        if (rule) had.add(rule.plan)
        if (random.chance(0.3)) run({ kind: 'deduct', id: `d${i}`, amount: random.integer(0, 120) })
        if (random.chance(0.1)) run({ kind: 'hold', id: `h${i}`, amount: random.integer(1, 50), ttlMs: 60_000 })
        now += stepMs
      }
      const sum = entries.reduce((total, { kind, amount }) => total + (kind === 'grant' || kind === 'void' ? amount : 0), 0)
      expect(sum, story.join(', ')).toBeLessThanOrEqual([...had].reduce((total, plan) => total + AMOUNTS[plan]!, 0))
      expect(verifyAccount('it', account, entries)).toEqual([])
    }
  })
})
