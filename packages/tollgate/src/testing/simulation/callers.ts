import type { Tollgate } from '../../index.ts'
import type { Decision, Settlement, TollgateRequest } from '../../engine/types.ts'
import type { Random } from '../random.ts'
import type { Call } from './recorder.ts'

/** What callers need of the simulation they are in. */
export interface Stage {
  /** One call of whatever engine runs now; `undefined` when it failed, which the simulation has noted. */
  call<T>(call: Call, ask: (tollgate: Tollgate) => Promise<T>): Promise<T | undefined>
  sleep(ms: number): Promise<void>
}

/** Long enough to be searched for; some differ in what the duplicate guard ignores. */
const CONTENTS = ['a secret about the harvest', 'A secret about the harvest!', 'what the river said at night', 'seventeen unposted letters', 'the map behind the painting', 'nobody may read this line']

/** An error of the work that `run` does, which is to come back as it is. */
export class WorkError extends Error {}

/** One caller, from first call to last: what it does follows from its random numbers and from what it is told. */
export async function caller(stage: Stage, random: Random, index: number): Promise<void> {
  const request = requestOf(random, index)
  for (let calls = random.integer(1, 3); calls > 0; calls--) {
    await pickDeed(random)(stage, random, request)
    await stage.sleep(random.integer(0, 400))
  }
}

type Deed = (stage: Stage, random: Random, request: TollgateRequest) => Promise<void>

const consume: Deed = async (stage, _, request) => {
  await decided(stage, 'consume', request)
}

const checkAndConsume: Deed = async (stage, _, { also: _also, idempotencyKey: _key, ...request }) => {
  await decided(stage, 'check', request)
  await decided(stage, 'consume', request)
}

/** The same request under one key, also at the same time. */
const insist: Deed = async (stage, random, request) => {
  const keyed = { ...request, idempotencyKey: `key-${random.integer(1, 10_000)}` }
  const first = decided(stage, 'consume', keyed)
  if (random.chance(0.5)) await first
  await Promise.all([first, decided(stage, 'consume', keyed)])
  await decided(stage, 'consume', random.chance(0.8) ? keyed : { ...keyed, locale: 'ru' })
}

const reserve: Deed = async (stage, random, request) => {
  const id = (await decided(stage, 'reserve', { ...request, ttlMs: random.integer(200, 6000) }))?.reservation?.id
  if (id === undefined) return
  await stage.sleep(random.integer(0, 3000))
  if (random.chance(0.2)) {
    await settled(stage, 'extend', (tollgate) => tollgate.extend(id, { ttlMs: random.integer(100, 4000) }))
    await stage.sleep(random.integer(0, 3000))
  }
  const fate = random.next()
  if (fate < 0.15) return
  if (fate < 0.35) await settled(stage, 'release', (tollgate) => tollgate.release(id))
  else await settled(stage, 'commit', (tollgate) => tollgate.commit(id, random.chance(0.7) ? { amounts: { tokens: random.integer(0, 3000) } } : {}))
  // Who heard nothing asks again; some ask for the opposite.
  if (random.chance(0.2)) await Promise.all([settled(stage, 'release', (tollgate) => tollgate.release(id)), settled(stage, 'commit', (tollgate) => tollgate.commit(id))])
}

const run: Deed = async (stage, random, request) => {
  const call: Writable = { name: 'run', request }
  await stage.call(call, async (tollgate) => {
    const result = await tollgate.run(request, async (spend) => {
      await stage.sleep(random.integer(0, 500))
      if (random.chance(0.2)) throw new WorkError('the model failed')
      spend.set({ tokens: random.integer(0, 2000) })
    })
    note(call, result.decision)
    if (result.allowed) call.settlement = result.settlement
    return result
  })
}

const buildAgent: Deed = async (stage, random, request) => {
  const decision = await decided(stage, 'consume', { ...request, operation: 'agent_create' })
  if (!decision?.reservation || random.chance(0.4)) return
  await stage.sleep(random.integer(0, 5000))
  await settled(stage, 'release', (tollgate) => tollgate.release(decision.reservation!.id))
}

const giveUp: Deed = async (stage, random, request) => {
  const controller = new AbortController()
  const call = decided(stage, 'reserve', { ...request, signal: controller.signal, ttlMs: 1000 })
  await stage.sleep(random.integer(0, 40))
  controller.abort()
  await call
}

const look: Deed = async (stage, _, { subject, plan }) => {
  const call: Writable = { name: 'usage' }
  await stage.call(call, async (tollgate) => (call.usage = await tollgate.usage(subject, plan === undefined ? {} : { plan })))
}

const explain: Deed = async (stage, _, request) => {
  const { also: _also, ...single } = request
  const call: Writable = { name: 'explain', request: single }
  await stage.call(call, async (tollgate) => {
    const explanation = await tollgate.explain(single)
    note(call, explanation.decision)
    return explanation
  })
}

const reset: Deed = async (stage, random, { subject }) => {
  const call: Writable = { name: 'reset', reset: { subject, ...(subject.startsWith('user:') && random.chance(0.7) && { limit: 'daily' }) } }
  await stage.call(call, async (tollgate) => tollgate.reset(subject, call.reset!.limit === undefined ? {} : { limit: call.reset!.limit }))
}

const upgrade: Deed = async (stage, random, { subject }) => {
  if (subject.startsWith('user:')) await stage.call({ name: 'setPlan' }, (tollgate) => tollgate.setPlan(subject, random.chance(0.6) ? 'plus' : 'free'))
}

const DEEDS: readonly (readonly [share: number, Deed])[] = [
  [25, consume], [12, checkAndConsume], [8, insist], [25, reserve], [10, run], [6, buildAgent], [3, giveUp], [5, look], [2, explain], [1, reset], [3, upgrade],
]

function pickDeed(random: Random): Deed {
  let point = random.integer(1, DEEDS.reduce((sum, [share]) => sum + share, 0))
  return DEEDS.find(([share]) => (point -= share) <= 0)![1]
}

function requestOf(random: Random, index: number): TollgateRequest {
  const kind = random.pick(['user', 'user', 'user', 'strict', 'open'])
  const also = [`ip:10.0.0.${index % 4}`, `team:${index % 2}`].filter(() => random.chance(0.2))
  return {
    subject: `${kind}:${random.integer(1, 4)}`,
    operation: 'message',
    dimensions: { world: `w${random.integer(1, 2)}`, model: random.pick(['small', 'small', 'large', 'huge']) },
    ...(random.chance(0.4) && { content: random.pick(CONTENTS) }),
    ...(random.chance(0.8) && { amounts: { tokens: random.integer(0, 2500) } }),
    ...(also.length > 0 && { also }),
  }
}

type Writable = { -readonly [K in keyof Call]: Call[K] }

function decided(stage: Stage, action: 'check' | 'consume' | 'reserve', request: TollgateRequest): Promise<Decision | undefined> {
  const call: Writable = { name: action, request }
  return stage.call(call, async (tollgate) => note(call, await tollgate[action](request)))
}

function settled(stage: Stage, name: string, ask: (tollgate: Tollgate) => Promise<Settlement>): Promise<Settlement | undefined> {
  const call: Writable = { name }
  return stage.call(call, async (tollgate) => (call.settlement = await ask(tollgate)))
}

/** What was decided without the store says nothing about the store. */
function note(call: Writable, decision: Decision): Decision {
  if (!decision.degraded) call.decision = decision
  return decision
}
