import type { Balance } from '../../ledger/account.ts'
import type { Entry } from '../../ledger/entries.ts'

/**
 * What must be true of every account, from what a ledger shows of it: an auditor of its own, apart from the ledger's.
 * @param entries all of them, the oldest first.
 */
export function booksOf({ balance, available, reserved, granted, spent, expired }: Balance, entries: readonly Entry[]): string[] {
  const faults: string[] = []
  const demand = (isTrue: boolean, fault: string): void => {
    if (!isTrue) faults.push(fault)
  }
  demand(balance === available + reserved, `the balance ${balance} is not ${available} available and ${reserved} reserved`)
  demand(granted - expired - spent === balance, `the balance ${balance} is not ${granted} granted less ${expired} expired and ${spent} spent`)
  demand(reserved >= 0, `${reserved} are reserved`)
  demand(sumOf(entries) === balance, `entries add up to ${sumOf(entries)}, not ${balance}`)
  const ofKinds = (...kinds: Entry['kind'][]): number => sumOf(entries.filter(({ kind }) => kinds.includes(kind)))
  demand(ofKinds('grant') === granted, `grants add up to ${ofKinds('grant')}, not ${granted}`)
  demand(ofKinds('spend', 'refund') === -spent, `what was spent adds up to ${-ofKinds('spend', 'refund')}, not ${spent}`)
  demand(ofKinds('expire', 'void') === -expired, `what has expired adds up to ${-ofKinds('expire', 'void')}, not ${expired}`)
  demand(ofKinds('repay') === 0, `repayments leave ${ofKinds('repay')}`)
  let sum = 0
  let last: Entry | undefined
  for (const entry of entries) {
    sum += entry.amount
    demand(entry.balanceAfter === sum, `entry ${entry.seq} says ${entry.balanceAfter} are left, not ${sum}`)
    demand(entry.seq === (last?.seq ?? 0) + 1, `entry ${entry.seq} follows ${last?.seq}`)
    demand(!last || entry.at >= last.at, `entry ${entry.seq} is older than the one before`)
    demand((entry.amount > 0) === (entry.kind === 'grant' || entry.kind === 'refund') || entry.kind === 'repay', `a ${entry.kind} of ${entry.amount}`)
    last = entry
  }
  for (const [lot, own] of groupsOf(entries, ({ lot }) => lot)) {
    const first = own.find(({ kind }) => kind === 'grant')
    if (lot === null) demand(sumOf(own) <= 0, `a debt of ${-sumOf(own)}`)
    else demand(sumOf(own) >= 0 && sumOf(own) <= sumOf(own.filter(({ kind }) => kind === 'grant')), `${sumOf(own)} are left of grant ${lot}, which gave ${first?.amount}`)
    demand(lot === null || own.filter(({ kind }) => kind === 'grant').length === 1, `grant ${lot} was given ${own.filter(({ kind }) => kind === 'grant').length} times`)
  }
  for (const [reservation, own] of groupsOf(entries, (entry) => entry.reservation)) {
    const taken = -sumOf(own.filter(({ kind }) => kind === 'spend'))
    const back = sumOf(own.filter(({ kind }) => kind === 'refund'))
    demand(reservation === null || back <= taken, `${reservation} was refunded ${back}, and took ${taken}`)
  }
  return faults
}

function sumOf(entries: readonly Entry[]): number {
  return entries.reduce((sum, { amount }) => sum + amount, 0)
}

function groupsOf<K>(entries: readonly Entry[], keyOf: (entry: Entry) => K): Map<K, Entry[]> {
  const groups = new Map<K, Entry[]>()
  for (const entry of entries) groups.set(keyOf(entry), [...(groups.get(keyOf(entry)) ?? []), entry])
  return groups
}
