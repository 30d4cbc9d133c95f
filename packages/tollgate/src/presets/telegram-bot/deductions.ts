import { randomUUID } from 'node:crypto'
import { assertText } from '../../compile/request.ts'
import type { LedgerAnswer } from '../../ledger/commands.ts'
import type { OperationType } from './plans.ts'
import { hasCode, type TokenAccounts } from './token-accounts.ts'

const PREFIX = 'telegram-bot '
/** An operation fails within an hour, or it does not: what was paid for yesterday is not given back by mistake. */
const REFUNDABLE_MS = 3_600_000
const PAGE = 100
const MAX_PAGES = 10

/** The id of a deduction in the ledger: the same for the same key. */
export function deductionId(operation: OperationType, key: string | undefined): string {
  if (key === undefined) return PREFIX + randomUUID()
  assertText(key, 'key')
  return `${PREFIX}${operation} ${key}`
}

/** Gives a deduction back, once. Returns nothing where there was none, or where it was given back before. */
export async function refund(accounts: TokenAccounts, userId: string, id: string): Promise<LedgerAnswer | undefined> {
  try {
    const answer = await accounts.run(userId, { kind: 'refund', id, key: `refund of ${id}` })
    return answer.isReplay || answer.refunded === 0 ? undefined : answer
  } catch (error) {
    // Of one that was cancelled nothing is left.
    if (hasCode(error, 'UNKNOWN_RESERVATION', 'INVALID_REQUEST')) return undefined
    throw error
  }
}

/** Gives back the latest deduction for an operation that has not been given back. */
export async function refundLatest(accounts: TokenAccounts, userId: string, operation: OperationType): Promise<LedgerAnswer | undefined> {
  for await (const id of latest(accounts, userId, operation)) {
    const answer = await refund(accounts, userId, id)
    // Else somebody was faster.
    if (answer) return answer
  }
}

async function* latest(accounts: TokenAccounts, userId: string, operation: OperationType): AsyncGenerator<string> {
  const since = (await accounts.balance(userId)).at - REFUNDABLE_MS
  const seen = new Set<string>()
  let before: number | null | undefined
  for (let page = 0; page < MAX_PAGES && before !== null; page++) {
    const { entries, next } = await accounts.entries(userId, { limit: PAGE, ...(before !== undefined && { before }) })
    for (const { at, kind, reservation, operation: of } of entries) {
      if (at < since) return
      if (of !== operation || !reservation?.startsWith(PREFIX) || seen.has(reservation)) continue
      // A refund comes after what it gives back, so it is seen before it.
      seen.add(reservation)
      if (kind === 'spend') yield reservation
    }
    before = next
  }
}
