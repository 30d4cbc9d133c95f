import { assertInteger, MAX_AMOUNT } from '../compile/request.ts'
import { invalidRequest, show } from '../errors/index.ts'
import { type Account, balanceOf, newAccount } from './account.ts'
import { advance } from './advance.ts'
import type { LedgerCommand } from './commands.ts'
import { Book, type Entry } from './entries.ts'
import { passesAt } from './forecast.ts'
import type { BalanceNow, EntryList, EntryPage } from './ledger.ts'
import { runCommand } from './machine.ts'

/** Only what cannot be denied opens an account, and only if something is written then: a stranger leaves no row. */
export function opensAccount(command: LedgerCommand, now: number): boolean {
  if (!mayOpen(command)) return false
  const account = newAccount()
  const { remember } = runCommand(account, command, () => undefined, now)
  return remember.size > 0 || JSON.stringify(account) !== JSON.stringify(newAccount())
}

function mayOpen(command: LedgerCommand): boolean {
  if (command.kind === 'hold' || command.kind === 'deduct') return command.amount === 0
  // What was cancelled may come after a grant that opens the account.
  return command.kind === 'grant' || command.kind === 'cancel' || (command.kind === 'setAllowance' && command.rule !== null)
}

/** How an account stands at `now`, when nobody looked since. */
export function balanceNow(account: Account, now: number, amount: number | undefined): BalanceNow {
  if (amount !== undefined) assertInteger(amount, 'amount', 0, MAX_AMOUNT)
  advance(new Book(account), now)
  const balance = balanceOf(account)
  const isMissing = amount !== undefined && balance.available < amount
  return { ...balance, at: now, forecast: isMissing ? passesAt(account, amount, now) : now }
}

/** @throws INVALID_REQUEST */
export function validPage({ before = Number.MAX_SAFE_INTEGER, limit = 100 }: EntryPage): Required<EntryPage> {
  if (!(Number.isSafeInteger(before) && before >= 1)) throw invalidRequest('before', `${show(before)} is not the number of an entry; use the \`next\` of the page before`)
  if (!(Number.isInteger(limit) && limit >= 1 && limit <= 1000)) throw invalidRequest('limit', `${show(limit)} is out of range; use an integer from 1 to 1000`)
  return { before, limit }
}

/** @throws INVALID_REQUEST */
export function validLimit(limit: number): number {
  if (!(Number.isInteger(limit) && limit >= 1)) throw invalidRequest('limit', `${show(limit)} is not a number of accounts; use an integer of 1 or more`)
  return limit
}

/** A page out of up to `limit + 1` entries, the newest first. */
export function listOf(found: readonly Entry[], limit: number): EntryList {
  const entries = found.slice(0, limit)
  return { entries, next: found.length > limit ? entries.at(-1)!.seq : null }
}
