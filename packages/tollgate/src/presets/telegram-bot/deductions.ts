import { randomUUID } from 'node:crypto'
import { assertText } from '../../compile/request.ts'
import type { LedgerAnswer } from '../../ledger/commands.ts'
import { REFUNDABLE_MS } from '../../ledger/lots.ts'
import { operations, type OperationType } from './plans.ts'
import { hasCode, type TokenAccounts } from './token-accounts.ts'

const PREFIX = 'telegram-bot '
/** Without a key: an operation fails within an hour, or it does not; what was paid for yesterday is not given back by mistake. */
const LATEST_MS = 3_600_000

/** The id of a deduction in the ledger: the same for the same key, until that was given back. */
export function deductionId(operation: OperationType, key: string | undefined): string {
  if (key === undefined) return PREFIX + randomUUID()
  assertText(key, 'key')
  return `${PREFIX}${operation} ${key}`
}

/** What is paid for after it was given back so many times. No operation is called 'again'. */
const idAgain = (id: string, times: number): string => (times === 0 ? id : `${PREFIX}again ${times} ${id.slice(PREFIX.length)}`)

/** How often what was paid for under an id was given back before `other` was paid for; `undefined` where that is of another key. */
function timesOf(id: string, other: string): number | undefined {
  const times = other === id ? 0 : Number(/^telegram-bot again (\d+) /.exec(other)?.[1])
  return idAgain(id, times) === other ? times : undefined
}

/** Pays, once for an id; anew, under a further id, where it was given back. */
export async function deduct(accounts: TokenAccounts, userId: string, operation: OperationType, id: string): Promise<LedgerAnswer> {
  const pay = (times: number) => accounts.run(userId, { kind: 'deduct', id: idAgain(id, times), amount: operations[operation].credits, operation })
  const first = await pay(0)
  if (!first.isReplay) return first
  const last = await lastOf(accounts, userId, operation, id, first.at)
  return last ? pay(last.times + (last.isGivenBack ? 1 : 0)) : first
}

/** Gives back what was paid for last under an id; a repeat is answered as the first. Returns nothing where nothing was paid in the last 3 days. */
export async function refund(accounts: TokenAccounts, userId: string, operation: OperationType, id: string): Promise<LedgerAnswer | undefined> {
  const { at } = await accounts.balance(userId)
  const last = await lastOf(accounts, userId, operation, id, at - REFUNDABLE_MS)
  return last && giveBack(accounts, userId, last)
}

/** Gives back the latest deduction of the last hour for an operation that has not been given back. */
export async function refundLatest(accounts: TokenAccounts, userId: string, operation: OperationType): Promise<LedgerAnswer | undefined> {
  const { at } = await accounts.balance(userId)
  for await (const deduction of deductions(accounts, userId, operation, at - LATEST_MS)) {
    const answer = deduction.isRefunded ? undefined : await giveBack(accounts, userId, deduction)
    // Else somebody was faster.
    if (answer && !answer.isReplay) return answer
  }
}

async function giveBack(accounts: TokenAccounts, userId: string, { id, at }: Deduction): Promise<LedgerAnswer | undefined> {
  try {
    // Its instant, as an id may be used again after 3 days, when the first refund is still remembered.
    const answer = await accounts.run(userId, { kind: 'refund', id, key: `refund of ${id} at ${at}` })
    // Else it was given back by other means.
    return answer.refunded === 0 ? undefined : answer
  } catch (error) {
    // Of one that was cancelled nothing is left.
    if (hasCode(error, 'UNKNOWN_RESERVATION', 'INVALID_REQUEST')) return undefined
    throw error
  }
}

interface Deduction {
  readonly id: string
  readonly at: number
  readonly isRefunded: boolean
  /** All of it. */
  readonly isGivenBack: boolean
}

async function lastOf(accounts: TokenAccounts, userId: string, operation: OperationType, id: string, since: number): Promise<(Deduction & { times: number }) | undefined> {
  for await (const deduction of deductions(accounts, userId, operation, since)) {
    const times = timesOf(id, deduction.id)
    if (times !== undefined) return { ...deduction, times }
  }
}

/** The newest first. */
async function* deductions(accounts: TokenAccounts, userId: string, operation: OperationType, since: number): AsyncGenerator<Deduction> {
  const refunded = new Map<string, number>()
  const seen = new Set<string>()
  for await (const { at, kind, reservation: id, operation: of, amount } of accounts.history(userId, since)) {
    if (of !== operation || !id?.startsWith(PREFIX)) continue
    // A refund comes after what it gives back, so it is seen before it.
    if (kind === 'refund') refunded.set(id, (refunded.get(id) ?? 0) + amount)
    // Of several lots, there are several entries.
    if (kind !== 'spend' || seen.has(`${at} ${id}`)) continue
    seen.add(`${at} ${id}`)
    const back = refunded.get(id) ?? 0
    refunded.delete(id)
    yield { id, at, isRefunded: back > 0, isGivenBack: back >= operations[operation].credits }
  }
}
