import { json } from '../http/json.ts'
import { addBusiness } from './business.ts'
import { addChat } from './chat.ts'
import { addChatUsage } from './chat-usage.ts'
import type { DemoContext } from './context.ts'
import * as schemas from './schemas.ts'
import { addWorlds } from './worlds.ts'

/** Everything that is there to be tried. */
export function addDemo(context: DemoContext): void {
  addWorlds(context)
  addChatUsage(context)
  addChat(context)
  addBusiness(context)
  addClock(context)
}

function addClock({ router, anybody, clock }: DemoContext): void {
  const common = { path: '/demo/clock', tag: 'Demo', access: anybody, answers: { 200: { description: 'The time by which limits are decided.', schema: schemas.clockAnswer } } } as const
  router.add({ ...common, method: 'get', summary: 'What time it is in the demo' }, () => json({ now: clock.now() }))
  router.add({ ...common, method: 'post', summary: 'Let time pass', description: 'Forward only, and kept over a restart. `held` stops the clock, so that time passes by `advanceMs` alone, until it is let go; then it catches up.', body: schemas.clockBody }, async ({ body }) => json({ now: await clock.advance(body.advanceMs, body.held) }))
}
