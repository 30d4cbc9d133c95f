import { describe, expect, it } from 'vitest'
import { createTollgate } from '../engine/create.ts'
import { MemoryLedger } from '../ledger/memory.ts'
import { controlledClock } from '../testing/clock.ts'
import { CHANNEL_SUBSCRIPTION, defaultPlan, operations, plans, type SubscriptionTier } from './telegram-bot.ts'

const START_AT = Date.UTC(2027, 0, 31, 12)

function botOf() {
  const clock = controlledClock(START_AT)
  return { clock, tollgate: createTollgate({ plans, operations, defaultPlan, clock, ledger: new MemoryLedger(clock) }) }
}

const user = 'telegram:7'

describe('the telegram bot', () => {
  it.each<[SubscriptionTier, number, number, number, number]>([
    ['Gift', 100, 0, 10, 3],
    ['Professional', 2000, 1990, 50, 10],
    ['Business', 10_000, 3490, 100, 20],
  ])('%s: %i tokens a month for %i rubles, %i requests a minute and %i a second', async (tier, tokens, rubles, perMinute, perSecond) => {
    const { tollgate, clock } = botOf()
    expect(plans[tier].price).toEqual({ amount: rubles, currency: 'RUB', every: 'month' })
    await tollgate.setPlan(user, tier, { attributes: { [CHANNEL_SUBSCRIPTION]: true } })
    expect(await tollgate.balance(user)).toMatchObject({ balance: tokens })
    await tollgate.grant(user, { amount: 1_000_000, source: 'pack' })
    const chat = { subject: user, operation: 'chatgpt_message' } as const
    let admitted = 0
    while ((await tollgate.consume(chat)).allowed) admitted++
    expect(admitted).toBe(perSecond)
    for (let second = 1; second < 60; second++) {
      clock.advance(1000)
      while ((await tollgate.consume(chat)).allowed) admitted++
    }
    expect(admitted).toBe(perMinute)
    // Another operation, and another user, have limits of their own.
    expect((await tollgate.consume({ ...chat, operation: 'sora_image' })).allowed).toBe(true)
  })

  it('costs what an operation costs, refuses what is not paid for, and gives failures back', async () => {
    const { tollgate } = botOf()
    await tollgate.grant(user, { amount: 24, source: 'pack' })
    expect(await tollgate.consume({ subject: user, operation: 'image_generation' })).toMatchObject({ allowed: true, credits: { cost: 10, balance: 14 } })
    await expect(tollgate.run({ subject: user, operation: 'sora_image' }, () => Promise.reject(new Error('no picture')))).rejects.toThrow('no picture')
    expect(await tollgate.balance(user)).toMatchObject({ balance: 14, reserved: 0 })
    expect(await tollgate.consume({ subject: user, operation: 'chatgpt_message' })).toMatchObject({ credits: { cost: 5, balance: 9 } })
    expect(await tollgate.consume({ subject: user, operation: 'image_generation' })).toMatchObject({
      allowed: false,
      credits: { cost: 10, balance: 9, deficit: 1 },
      violations: [{ code: 'INSUFFICIENT_CREDITS', liftedBy: ['Professional', 'Business'] }],
    })
  })

  it('gives Gift its tokens once the channel is confirmed, and each month from then on', async () => {
    const { tollgate, clock } = botOf()
    await tollgate.setPlan(user, 'Gift')
    expect(await tollgate.balance(user)).toMatchObject({ balance: 0 })
    await tollgate.setPlan(user, 'Gift', { attributes: { [CHANNEL_SUBSCRIPTION]: START_AT } })
    await tollgate.consume({ subject: user, operation: 'chatgpt_message' })
    expect(await tollgate.balance(user)).toMatchObject({ balance: 95 })
    clock.set(Date.UTC(2027, 1, 28, 12))
    expect(await tollgate.balance(user)).toMatchObject({ balance: 100, spent: 5, granted: 200, expired: 95 })
    clock.set(Date.UTC(2027, 2, 31, 11, 59, 59, 999))
    expect(await tollgate.balance(user)).toMatchObject({ granted: 200 })
    clock.set(Date.UTC(2027, 2, 31, 12))
    expect(await tollgate.balance(user)).toMatchObject({ balance: 100, granted: 300 })
  })
})
