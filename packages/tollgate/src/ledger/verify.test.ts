import { describe, expect, it } from 'vitest'
import { type Account, newAccount } from './account.ts'
import type { LedgerCommand, Remembered } from './commands.ts'
import type { Entry } from './entries.ts'
import { runCommand } from './machine.ts'
import { verifyAccount } from './verify.ts'

const NOW = 1_800_000_000_000
const rule = { plan: 'set/plan', amount: 40, every: 'month', timezone: 'UTC', anchor: 'subject', priority: 0, rolloverMax: 0, softLimit: null, isEligible: true } as const

const COMMANDS: LedgerCommand[] = [
  { kind: 'grant', key: 'a', amount: 100, source: 'pack' },
  { kind: 'grant', key: 'brief', amount: 2, source: 'admin', priority: 9, expiresAt: NOW + 550 },
  { kind: 'grant', key: 'b', amount: 7, source: 'pack', expiresAt: NOW + 1000 },
  { kind: 'grant', key: 'future', amount: 9, source: 'promo', effectiveAt: NOW + 1e9 },
  { kind: 'setAllowance', rule, at: 'now', proration: 'restart', leftover: 'keep' },
  { kind: 'deduct', id: 'd', amount: 30 },
  { kind: 'refund', key: 'r', id: 'd', amount: 5 },
  { kind: 'hold', id: 'over', amount: 1, ttlMs: 60_000 },
  { kind: 'commit', id: 'over', amount: 130, overage: { policy: 'overdraft', floor: -50 } },
  { kind: 'grant', key: 'c', amount: 4, source: 'pack' },
  { kind: 'refund', key: 'r2', id: 'over', amount: 40 },
  { kind: 'hold', id: 'open', amount: 12, ttlMs: 60_000 },
  { kind: 'hold', id: 'held too', amount: 3, ttlMs: 60_000 },
  { kind: 'void', key: 'v', lot: 1 },
  { kind: 'hold', id: 'last', amount: 0, ttlMs: 60_000 },
  { kind: 'commit', id: 'last', amount: 50, overage: { policy: 'overdraft', floor: -5 } },
]

/** An account with something of everything, and its entries. */
function made(): { account: Account; entries: Entry[] } {
  const account = newAccount()
  const entries: Entry[] = []
  const remembered = new Map<string, Remembered>()
  for (const [i, command] of COMMANDS.entries()) {
    const step = runCommand(account, command, (key) => remembered.get(key), NOW + i * 100)
    if ('error' in step.answer) throw step.answer.error
    entries.push(...step.entries)
    for (const [key, value] of step.remember) remembered.set(key, value)
  }
  return structuredClone({ account, entries })
}

const faultsAfter = (doctor: (made: { account: Account; entries: Entry[] }) => void): string[] => {
  const all = made()
  doctor(all)
  return verifyAccount('user:1', all.account, all.entries)
}

describe('an account is verified by its entries', () => {
  it('that was left alone', () => {
    const { account, entries } = made()
    expect(verifyAccount('user:1', account, entries)).toEqual([])
    expect(account).toMatchObject({ lots: expect.arrayContaining([expect.objectContaining({ isEffective: false })]), holds: [{}, {}], debts: [{ owed: 0 }, { owed: 5 }] })
    expect(new Set(entries.map(({ kind }) => kind))).toEqual(new Set(['grant', 'spend', 'refund', 'void', 'repay', 'expire']))
  })

  it('in words that say what is wrong', () => {
    expect(faultsAfter(({ account }) => (account.granted += 1000))).toEqual(['user:1: granted is 1153, and by its entries 153'])
    expect(faultsAfter(({ entries }) => (entries[0]!.at += 1e6))).toEqual(['user:1: entry 2 is older than the one before it'])
    expect(faultsAfter(({ entries }) => (entries.at(-1)!.at += 1e6))).toEqual(['user:1: the newest entry is newer than the account'])
  })

  const { account, entries } = made()

  it.each(['seq', 'amount', 'balanceAfter', 'lot'] as const)('whose entries have another %s', (field) => {
    for (const i of entries.keys()) {
      for (const by of [1, -1, 1000]) expect(faultsAfter((each) => (each.entries[i]![field] = (each.entries[i]![field] ?? 0) + by)), `entry ${i + 1}`).not.toEqual([])
    }
  })

  it('whose entries are of another kind', () => {
    for (const [i, { kind }] of entries.entries()) {
      const other = kind === 'void' ? 'expire' : 'void'
      expect(faultsAfter((each) => (each.entries[i]!.kind = other)), `entry ${i + 1}`).not.toEqual([])
    }
  })

  it('whose entries are missing, doubled, or in another order', () => {
    for (const i of entries.keys()) {
      expect(faultsAfter((each) => each.entries.splice(i, 1)), `without ${i + 1}`).not.toEqual([])
      expect(faultsAfter((each) => each.entries.splice(i, 0, structuredClone(each.entries[i]!))), `with ${i + 1} twice`).not.toEqual([])
      if (i > 0) expect(faultsAfter((each) => each.entries.splice(i - 1, 2, each.entries[i]!, each.entries[i - 1]!)), `with ${i} after ${i + 1}`).not.toEqual([])
    }
  })

  it.each(['granted', 'spent', 'expired', 'voided', 'seq'] as const)('with another sum: %s', (field) => {
    for (const by of [1, -1]) expect(faultsAfter((each) => (each.account[field] += by))).not.toEqual([])
  })

  it('with more or less left of a grant, held by a reservation, or owed', () => {
    for (const by of [1, -1]) {
      for (const i of account.lots.keys()) expect(faultsAfter((each) => (each.account.lots[i]!.left += by)), `grant ${i}`).not.toEqual([])
      for (const i of account.holds.keys()) {
        expect(faultsAfter((each) => (each.account.holds[i]!.amount += by))).not.toEqual([])
        expect(faultsAfter((each) => (each.account.holds[i]!.parts[0]![1] += by))).not.toEqual([])
      }
      for (const i of account.debts.keys()) expect(faultsAfter((each) => (each.account.debts[i]!.owed += by))).not.toEqual([])
    }
  })

  it('with two mistakes that make up for each other', () => {
    const lotWithSome = account.lots.findIndex(({ left, isEffective }) => left === 0 && isEffective)
    const pairs: ((each: { account: Account; entries: Entry[] }) => void)[] = [
      // A grant that was never given, and a debt that nobody made.
      ({ account: { lots, debts } }) => {
        lots.push({ ...lots[0]!, id: 77, left: 3, amount: 3, isEffective: true })
        debts.push({ reservation: 'x', at: NOW, owed: 3, paid: [] })
      },
      ({ account: { lots, debts } }) => {
        lots[lotWithSome]!.left += 2
        debts[0]!.owed += 2
      },
      // Held of one grant, and not of another.
      ({ account: { holds } }) => {
        holds[0]!.parts[0]![1] -= 1
        holds[1]!.parts[0]![1] += 1
        holds[0]!.amount -= 1
        holds[1]!.amount += 1
        holds[1]!.parts[0]![0] = 99
      },
      ({ account: { debts } }) => {
        debts[0]!.owed -= 3
        debts[1]!.owed += 3
      },
      ({ account: sums }) => {
        sums.granted += 5
        sums.voided += 5
      },
    ]
    for (const [i, doctor] of pairs.entries()) expect(faultsAfter(doctor), `pair ${i}`).not.toEqual([])
  })
})
