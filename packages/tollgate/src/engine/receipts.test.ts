import { expect, it } from 'vitest'
import { controlledClock } from '../testing/clock.ts'
import { Receipts } from './receipts.ts'

it('answers are forgotten with the subject that they name, and no others; what is under way keeps its key', async () => {
  const receipts = new Receipts<string>(controlledClock(0))
  const keep = (key: string, subject?: string) => receipts.once(key, 'f', () => 'hello', undefined, subject)
  await keep('k1', 'Ada')
  await keep('k2', 'Eve')
  await keep('k3')
  let finish = (() => {}) as (answer: string) => void
  const running = receipts.once('k4', 'f', () => new Promise<string>((resolve) => (finish = resolve)), undefined, 'Ada')
  receipts.erase('Ada')
  await expect(keep('k4', 'Ada')).rejects.toMatchObject({ code: 'IDEMPOTENCY_IN_PROGRESS' })
  finish('late')
  await running
  const replays = await Promise.all([keep('k1', 'Ada'), keep('k2', 'Eve'), keep('k3'), keep('k4', 'Ada')])
  expect(replays.map(({ isReplay }) => isReplay)).toEqual([false, true, true, true])
})
