import { MAX_AMOUNT } from '../../compile/request.ts'
import type { Balance } from '../../ledger/account.ts'
import { hasCode, type TokenAccounts, voidGrant } from './token-accounts.ts'
import type { TokenBalance } from './user-profile.ts'

/** The first grant of an account that was opened here: what the user had before, wherever that was counted. No key of a caller makes this name. */
const OPENING = 'telegram-bot/opening balance'
const HOLD_MS = 60_000

/** Whether the ledger has never given the user anything: then what they have is known elsewhere. */
export const isNew = ({ granted }: Balance): boolean => granted === 0

/**
 * Enters what a user had, and had spent, before the ledger knew of them. The grant comes last and makes the account known, so
 * whoever breaks off before it, or does the same at once, is repeated without harm: the steps have ids of their own.
 */
export async function openAccount(accounts: TokenAccounts, userId: string, { tokensBalance, tokensSpent }: TokenBalance): Promise<void> {
  let { spent } = await accounts.balance(userId)
  if (spent === 0 && tokensSpent > 0) {
    await unlessDone(accounts.run(userId, { kind: 'hold', id: OPENING, amount: 0, ttlMs: HOLD_MS }))
    // A debt, which the grant pays.
    await unlessDone(accounts.run(userId, { kind: 'commit', id: OPENING, amount: tokensSpent, overage: { policy: 'overdraft', floor: -MAX_AMOUNT } }))
    ;({ spent } = await accounts.balance(userId))
  }
  const amount = tokensBalance + spent
  if (amount > 0) await unlessDone(accounts.run(userId, { kind: 'grant', key: OPENING, amount, source: 'admin', reason: 'what there was before' }))
}

/** Takes back what is left of it. */
export async function voidOpening(accounts: TokenAccounts, userId: string): Promise<void> {
  // It is among the first entries: at most what was spent comes before it.
  const { entries } = await accounts.entries(userId, { before: 4, limit: 3 })
  const lot = entries.find(({ kind, key }) => kind === 'grant' && key === OPENING)?.lot
  if (lot != null) await voidGrant(accounts, userId, lot, `${OPENING}, void`)
}

/** Somebody else has just done it, or is about to. */
async function unlessDone(step: Promise<unknown>): Promise<void> {
  try {
    await step
  } catch (error) {
    if (!hasCode(error, 'IDEMPOTENCY_CONFLICT', 'ALREADY_SETTLED')) throw error
  }
}

/** Counts of tokens as a database, or a cache, may give them. */
export function validOpening({ tokensBalance, tokensSpent }: TokenBalance): TokenBalance {
  // Half, as their sum is one grant.
  const count = (value: unknown): number => Math.trunc(Math.min(MAX_AMOUNT / 2, Math.max(0, Number(value) || 0)))
  return { tokensBalance: count(tokensBalance), tokensSpent: count(tokensSpent) }
}
