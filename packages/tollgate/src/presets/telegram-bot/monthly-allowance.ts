import { suggest } from '../../define/suggest.ts'
import { show, TollgateError } from '../../errors/index.ts'
import type { LedgerAnswer } from '../../ledger/commands.ts'
import type { Entry } from '../../ledger/entries.ts'
import { voidOpening } from './opening-balance.ts'
import { plans, type SubscriptionTier } from './plans.ts'
import { hasCode, type TokenAccounts, voidGrant } from './token-accounts.ts'

/** No other grant of this preset has a '/' there. */
const PREFIX = 'telegram-bot/month '
/** The last instant that the ledger takes: never, but spent before what was bought. */
const ENDS_AT = 9e12

/** An allowance as it was set. */
interface Allowance {
  /** Of its grant, in the ledger. */
  readonly id: string
  readonly key: string
  readonly tier: string | null
  readonly lot: number
  readonly at: number
}

/** What was asked for, now or before; `isRepeat`: nothing was changed. */
export interface AllowanceSet extends Pick<Allowance, 'id' | 'at'> {
  readonly isRepeat: boolean
}

/** @throws UNKNOWN_PLAN */
export function tokensAMonth(tier: SubscriptionTier): number {
  if (Object.hasOwn(plans, tier)) return plans[tier].credits.grant
  throw new TollgateError('UNKNOWN_PLAN', `tier: ${show(tier)} is not a tier; ${suggest(tier, Object.keys(plans))}`, { field: 'tier' })
}

/**
 * Sets the tokens of a month, for whoever knows from outside what was paid for: they neither end nor renew by themselves. It is a
 * grant, after which what is left of those before it is voided, and never of those after it: whoever comes late, or does the
 * same at once, takes nothing from whoever was later in the ledger. Returns nothing where the key once set another tier, and a later key took its place.
 */
export async function setAllowance(accounts: TokenAccounts, userId: string, tier: SubscriptionTier, key: string): Promise<AllowanceSet | undefined> {
  for (;;) {
    const running = await lastAllowance(accounts, userId)
    const isRunning = running?.key === key
    if (isRunning && running.tier === tier) {
      // Whoever set it may have broken off there.
      await voidBefore(accounts, userId, running.lot)
      return { ...running, isRepeat: true }
    }
    // Of a key that is running with another tier, by what it follows: else going back to a tier would be a repeat.
    const id = `${PREFIX}${isRunning ? running.lot : 0} ${key}`
    const answer = await grant(accounts, userId, id, tier)
    if (answer && !answer.isReplay) {
      await voidBefore(accounts, userId, answer.lot!)
      // A plan that an engine has set ends.
      await accounts.run(userId, { kind: 'setAllowance', rule: null, at: 'now', proration: 'restart', leftover: 'void' })
      return { id, at: answer.at, isRepeat: false }
    }
    if ((await lastAllowance(accounts, userId))?.key !== key) return answer && { id, at: answer.at, isRepeat: true }
    // Somebody else has just set it.
  }
}

/** An allowance that was used up, and then replaced, may be gone when a refund returns to it: what came back goes. Returns whether one was replaced. */
export async function voidReturned(accounts: TokenAccounts, userId: string, spentAt: number): Promise<boolean> {
  if (!(await wasSetSince(accounts, userId, spentAt))) return false
  let isRunning = true
  for await (const allowance of allowances(accounts, userId)) {
    if (!isRunning) await voidAllowance(accounts, userId, allowance)
    isRunning = false
    if (allowance.at < spentAt) break
  }
  await voidOpening(accounts, userId)
  return true
}

/** What is left of allowances before `lot` goes, the oldest first, and what there was before them. */
async function voidBefore(accounts: TokenAccounts, userId: string, lot: number): Promise<void> {
  for (const allowance of await unspentBefore(accounts, userId, lot)) await voidAllowance(accounts, userId, allowance)
  await voidOpening(accounts, userId)
}

/** Mostly one; more where somebody broke off. Before one of which nothing is left there are none: older ones are spent, and voided, first. */
async function unspentBefore(accounts: TokenAccounts, userId: string, lot: number): Promise<Allowance[]> {
  const left = new Map<number | null, number>()
  const found: Allowance[] = []
  for await (const entry of accounts.history(userId)) {
    left.set(entry.lot, (left.get(entry.lot) ?? 0) + entry.amount)
    const allowance = allowanceOf(entry)
    if (!allowance || allowance.lot >= lot) continue
    if (left.get(allowance.lot) === 0) break
    found.unshift(allowance)
  }
  return found
}

async function lastAllowance(accounts: TokenAccounts, userId: string): Promise<Allowance | undefined> {
  for await (const allowance of allowances(accounts, userId)) return allowance
  return undefined
}

async function wasSetSince(accounts: TokenAccounts, userId: string, at: number): Promise<boolean> {
  for await (const entry of accounts.history(userId, at)) if (allowanceOf(entry)) return true
  return false
}

/** The newest first. */
async function* allowances(accounts: TokenAccounts, userId: string): AsyncGenerator<Allowance> {
  for await (const entry of accounts.history(userId)) {
    const allowance = allowanceOf(entry)
    if (allowance) yield allowance
  }
}

function allowanceOf({ kind, key: id, reason: tier, lot, at }: Entry): Allowance | undefined {
  if (kind !== 'grant' || lot === null || !id?.startsWith(PREFIX)) return undefined
  return { id, key: id.slice(id.indexOf(' ', PREFIX.length) + 1), tier, lot, at }
}

/** Returns nothing where the key granted something else before. */
async function grant(accounts: TokenAccounts, userId: string, key: string, tier: SubscriptionTier): Promise<LedgerAnswer | undefined> {
  try {
    return await accounts.run(userId, { kind: 'grant', key, amount: tokensAMonth(tier), source: 'admin', expiresAt: ENDS_AT, reason: tier })
  } catch (error) {
    if (hasCode(error, 'IDEMPOTENCY_CONFLICT')) return undefined
    throw error
  }
}

const voidAllowance = (accounts: TokenAccounts, userId: string, { id, lot }: Allowance): Promise<void> => voidGrant(accounts, userId, lot, `${id}, void`)
