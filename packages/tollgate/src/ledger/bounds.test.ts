import { describe, expect, it } from 'vitest'
import { controlledClock } from '../testing/clock.ts'
import { type Account, newAccount } from './account.ts'
import type { LedgerCommand } from './commands.ts'
import { runCommand } from './machine.ts'
import { MemoryLedger } from './memory.ts'

const NOW = 1_800_000_000_000

function run(account: Account, command: LedgerCommand, now = NOW) {
  const { answer } = runCommand(account, command, () => undefined, now)
  if ('error' in answer) throw answer.error
  return answer.value
}

const grant = (key: number | string, facts = {}): LedgerCommand => ({ kind: 'grant', key: `${key}`, amount: 1, source: 'pack', ...facts })
const hold = (id: number | string, amount = 0): LedgerCommand => ({ kind: 'hold', id: `${id}`, amount, ttlMs: 1000 })

describe('an account', () => {
  it('has at most 1000 open grants, those to come included', () => {
    const account = newAccount()
    for (let i = 0; i < 999; i++) run(account, grant(i))
    run(account, grant('future', { effectiveAt: NOW + 1000 }))
    const before = structuredClone(account)
    expect(() => run(account, grant('more'))).toThrow(/1000 open grants/)
    expect(account).toEqual(before)
    run(account, { kind: 'deduct', id: 'd', amount: 2 })
    run(account, grant('more'))
    run(account, grant('and more'))
    expect(() => run(account, grant('too many'))).toThrow(/1000 open grants/)
  })

  it('has at most 1000 open reservations, and takes others when those have ended', () => {
    const account = newAccount()
    run(account, grant('all', { amount: 50 }))
    for (let i = 0; i < 1000; i++) run(account, hold(i))
    const before = structuredClone(account)
    expect(() => run(account, hold('more', 1))).toThrow(/1000 open reservations/)
    expect(account).toEqual(before)
    // What can be denied is denied: that is an answer.
    expect(run(account, hold('dear', 51))).toMatchObject({ ok: false, deficit: 1 })
    run(account, { kind: 'release', id: '7' })
    run(account, hold('more', 1))
    expect(run(account, hold('later', 50), NOW + 1000)).toMatchObject({ ok: true, balance: { reserved: 50 } })
    expect(account.holds).toHaveLength(1)
  })

  it('is granted no more than can be counted', () => {
    const account = { ...newAccount(), granted: Math.floor(Number.MAX_SAFE_INTEGER / 2) - 5, expired: Math.floor(Number.MAX_SAFE_INTEGER / 2) - 5 }
    run(account, grant('some', { amount: 5 }))
    expect(() => run(account, grant('more'))).toThrow(/more than can be counted/)
  })

  it('stays small, however much it has spent', () => {
    const account = newAccount()
    for (let i = 0; i < 300; i++) {
      run(account, grant(i, { amount: 10, expiresAt: NOW + 1e6 + i }))
      run(account, hold(`h${i}`, 10))
      run(account, { kind: 'commit', id: `h${i}`, amount: 12, overage: { policy: 'overdraft', floor: -5 } })
      run(account, grant(`paid ${i}`, { amount: 2 }))
    }
    run(account, { kind: 'touch' }, NOW + 4 * 86_400_000)
    expect(account).toMatchObject({ lots: [], holds: [], debts: [] })
  })
})

describe('the ledger in memory', () => {
  it('does not remember for ever', async () => {
    const clock = controlledClock(NOW)
    const ledger = new MemoryLedger(clock)
    await ledger.run('user:1', grant('k'))
    for (let i = 0; i < 100; i++) {
      expect((await ledger.run('user:1', grant('k'))).isReplay).toBe(true)
      await ledger.run('user:1', { kind: 'deduct', id: `d${i}`, amount: 0 })
    }
    clock.advance(91 * 86_400_000)
    for (let i = 0; i < 60; i++) await ledger.run('user:1', { kind: 'touch' })
    expect((await ledger.run('user:1', { kind: 'deduct', id: 'd0', amount: 0 })).isReplay).toBeUndefined()
    expect((await ledger.run('user:1', grant('k'))).isReplay).toBeUndefined()
  })
})
