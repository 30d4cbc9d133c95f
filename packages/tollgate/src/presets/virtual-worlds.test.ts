import { describe, expect, it } from 'vitest'
import { createMessages, createTollgate, type Decision, type Locale, type MessageFacts } from '../index.ts'
import { formatInstant } from '../messages/index.ts'
import { defaultPlan, messages, operations, plans, violationLog, type WorldPlan } from './virtual-worlds.ts'

const START = Date.parse('2026-03-10T12:00:00Z')
const MIDNIGHT = Date.parse('2026-03-11T00:00:00Z')

function setup(plan: WorldPlan) {
  const clock = { now: START }
  const tollgate = createTollgate({ plans, operations, defaultPlan, messages, clock: () => clock.now })
  const send = (content: string, { world = 'w1', subject = 'worlds:ada', locale = 'es' as Locale } = {}) =>
    tollgate.consume({ subject, plan, operation: 'message', dimensions: { world }, content, locale })
  const addAgent = (current?: number) =>
    tollgate.consume({ subject: 'worlds:ada', plan, operation: 'agent_create', dimensions: { world: 'w1' }, ...(current !== undefined && { current: { agents: current } }) })
  return { clock, tollgate, send, addAgent }
}

const violated = ({ violations }: Decision): string[] => violations.map(({ limit }) => limit)

describe('the plans', () => {
  it.each([
    ['free', 0, 50, 3, '5s'],
    ['plus', 5, 500, 10, '2s'],
    ['ultra', 15, Infinity, 50, 0],
  ] as const)('%s: $%d a month, %d messages a day, %d agents a world, a pause of %s', (name, price, messagesPerDay, agentsPerWorld, wait) => {
    const plan = plans[name]
    expect(plan.price).toEqual({ amount: price, currency: 'USD', every: 'month' })
    expect(plan.headline).toBe('dailyMessages')
    expect(Object.keys(plan.limits)).toEqual(['dailyMessages', 'cooldown', 'spam', 'flood', 'agents'])
    expect(plan.limits).toEqual({
      dailyMessages: { kind: 'quota', limit: messagesPerDay, every: 'day', timezone: 'UTC', match: { operation: 'message' } },
      cooldown: { kind: 'cooldown', wait, per: ['world'], match: { operation: 'message' } },
      spam: { kind: 'duplicates', limit: 10, window: '1h', per: ['world'], match: { operation: 'message' } },
      flood: { kind: 'slidingWindow', limit: 20, window: '1m', exact: true, per: ['world'], match: { operation: 'message' } },
      agents: { kind: 'capacity', limit: agentsPerWorld, per: ['world'], match: { operation: 'agent_create' } },
    })
  })

  it('are ranked free, plus, ultra', () => {
    expect([plans.free.rank, plans.plus.rank, plans.ultra.rank]).toEqual([0, 1, 2])
  })
})

describe('messages a day', () => {
  it.each([
    ['free', 50, 6000],
    ['plus', 500, 4000],
  ] as const)('on %s: %d pass, the next is denied until midnight', async (plan, limit, spacingMs) => {
    const { clock, send } = setup(plan)
    for (let i = 1; i <= limit; i++) {
      expect(violated(await send(`message ${i}`))).toEqual([])
      clock.now += spacingMs
    }
    const denied = await send('one more')
    expect(denied.violations).toMatchObject([{ limit: 'dailyMessages', max: limit, used: limit, remaining: 0, resetAt: MIDNIGHT, retryAfterMs: MIDNIGHT - clock.now }])

    clock.now = MIDNIGHT - 1
    expect(violated(await send('one more'))).toEqual(['dailyMessages'])
    clock.now = MIDNIGHT
    expect(violated(await send('one more'))).toEqual([])
  })

  it('on ultra have no limit', async () => {
    const { clock, send } = setup('ultra')
    for (let i = 1; i <= 1000; i++) {
      expect(violated(await send(`message ${i}`))).toEqual([])
      clock.now += 4000
    }
  })

  it('are counted over all worlds, and keep what was used after an upgrade', async () => {
    const { tollgate, send } = setup('free')
    for (let i = 1; i <= 50; i++) await send('hello', { world: `w${i}` })
    expect(violated(await send('hello', { world: 'w51' }))).toEqual(['dailyMessages'])
    const upgraded = await tollgate.consume({ subject: 'worlds:ada', plan: 'plus', operation: 'message', dimensions: { world: 'w51' } })
    expect(upgraded.limits[0]).toMatchObject({ limit: 'dailyMessages', max: 500, used: 51, remaining: 449 })
  })
})

describe('the cooldown', () => {
  it.each([
    ['free', 5000],
    ['plus', 2000],
  ] as const)('on %s keeps the second of two at once waiting for %d ms', async (plan, waitMs) => {
    const { clock, send } = setup(plan)
    const [first, second] = await Promise.all([send('one'), send('two')])
    expect(violated(first)).toEqual([])
    expect(second.violations).toMatchObject([{ limit: 'cooldown', code: 'COOLDOWN', retryAfterMs: waitMs }])

    clock.now += waitMs - 1
    expect((await send('two')).violations).toMatchObject([{ limit: 'cooldown', retryAfterMs: 1 }])
    clock.now += 1
    expect(violated(await send('two'))).toEqual([])
  })

  it('is apart for every user and world', async () => {
    const { send } = setup('free')
    await send('one')
    expect(violated(await send('one', { world: 'w2' }))).toEqual([])
    expect(violated(await send('one', { subject: 'worlds:bob' }))).toEqual([])
    expect(violated(await send('two'))).toEqual(['cooldown'])
  })
})

describe('the guards, with the other limits out of the way', () => {
  it('the same text for the 11th time in an hour is spam', async () => {
    const { clock, send } = setup('ultra')
    for (let i = 1; i <= 10; i++) {
      expect(violated(await send('Buy now!'))).toEqual([])
      clock.now += 6000
    }
    expect((await send('Buy now!')).violations).toMatchObject([{ limit: 'spam', code: 'DUPLICATE_CONTENT', max: 10, retryAfterMs: 3_540_000 }])
    expect(violated(await send('Something else'))).toEqual([])
    expect(violated(await send('Buy now!', { world: 'w2' }))).toEqual([])
    expect(violated(await send('Buy now!', { subject: 'worlds:bob' }))).toEqual([])

    clock.now = START + 3_600_000
    expect(violated(await send('Buy now!'))).toEqual([])
  })

  it('the 21st message in a minute floods', async () => {
    const { clock, send } = setup('ultra')
    for (let i = 1; i <= 20; i++) expect(violated(await send(`message ${i}`))).toEqual([])
    expect((await send('one more')).violations).toMatchObject([{ limit: 'flood', code: 'RATE_LIMITED', max: 20, retryAfterMs: 60_000 }])
    expect(violated(await send('one more', { world: 'w2' }))).toEqual([])

    clock.now += 60_000
    expect(violated(await send('one more'))).toEqual([])
  })

  it('hold when 40 come at once', async () => {
    const { send } = setup('ultra')
    const decisions = await Promise.all(Array.from({ length: 40 }, (_, i) => send(`message ${i}`)))
    expect(decisions.filter(({ allowed }) => allowed)).toHaveLength(20)
  })
})

describe('a denied message', () => {
  it('names every limit that it violates, in their order, and uses up none', async () => {
    const { clock, tollgate, send } = setup('free')
    for (let i = 1; i <= 40; i++) {
      await send(`message ${i}`, { world: 'elsewhere' })
      clock.now += 6000
    }
    for (let i = 1; i <= 10; i++) {
      await send('Buy now!')
      clock.now += 5000
    }
    clock.now -= 1
    for (let i = 1; i <= 30; i++) expect(violated(await send('Buy now!'))).toEqual(['dailyMessages', 'cooldown', 'spam'])
    const { limits } = await tollgate.usage('worlds:ada')
    const used = limits.filter(({ partition }) => partition === undefined || partition.world === 'w1').map(({ limit, used }) => [limit, used])
    expect(used).toEqual([['dailyMessages', 50], ['cooldown', 1], ['spam', 10], ['flood', 10]])
  })
})

describe('agents of a world', () => {
  it.each([
    ['free', 3],
    ['plus', 10],
    ['ultra', 50],
  ] as const)('on %s: %d', async (plan, limit) => {
    const { tollgate, addAgent } = setup(plan)
    const added = []
    for (let i = 0; i < limit; i++) added.push(await addAgent())
    expect(added.every(({ allowed }) => allowed)).toBe(true)
    const denied = await addAgent()
    expect(denied.violations).toMatchObject([{ limit: 'agents', code: 'CAPACITY_EXCEEDED', max: limit, used: limit, remaining: 0, retryAfterMs: null }])

    await tollgate.release(added[0]!.reservation!.id)
    expect((await addAgent()).allowed).toBe(true)

    expect((await addAgent(limit - 1)).allowed).toBe(true)
    expect((await addAgent(limit)).allowed).toBe(false)
  })

  it('are not messages, and messages are no agents', async () => {
    const { send, addAgent } = setup('free')
    expect((await addAgent()).limits.map(({ limit }) => limit)).toEqual(['agents'])
    expect((await send('hello')).limits.map(({ limit }) => limit)).toEqual(['dailyMessages', 'cooldown', 'spam', 'flood'])
  })
})

describe('the texts', () => {
  /** A denial of each limit, on free where it has better plans. */
  async function denials(locale: Locale): Promise<Record<string, string>> {
    const texts: Record<string, string> = {}
    const keep = ({ violations }: Decision): void => {
      for (const { limit, message } of violations) texts[limit] = message
    }
    const free = setup('free')
    for (let i = 0; i < 50; i++) await free.send('x', { world: `w${i}`, locale })
    keep(await free.send('x', { world: 'w50', locale }))
    free.clock.now = MIDNIGHT
    await free.send('x', { locale })
    free.clock.now += 2000
    keep(await free.send('x', { locale }))
    for (let i = 0; i < 3; i++) await free.addAgent()
    const { violations } = await free.tollgate.consume({ subject: 'worlds:ada', plan: 'free', operation: 'agent_create', dimensions: { world: 'w1' }, locale })
    texts.agents = violations[0]!.message
    const ultra = setup('ultra')
    for (let i = 0; i < 10; i++) await ultra.send('x', { locale })
    keep(await ultra.send('x', { locale }))
    for (let i = 0; i < 10; i++) await ultra.send(`${i}`, { locale })
    keep(await ultra.send('y', { locale }))
    return texts
  }

  it('in Spanish, with the words that the product looks for', async () => {
    expect(await denials('es')).toEqual({
      agents: 'Este mundo está completo: el plan free admite 3 agentes por mundo. Con plus caben 10; con ultra caben 50.',
      cooldown: 'Un momento: entre un mensaje y el siguiente hay una pequeña pausa. Podrás escribir en 3 segundos. Con plus la pausa es de 2 segundos; con ultra no hay pausa.',
      dailyMessages: `Límite diario alcanzado: el plan free da 50 mensajes al día. Podrás seguir en 12 horas (${formatInstant(MIDNIGHT, 'es')}). Con plus tienes 500; con ultra no hay límite.`,
      flood: 'Vas muy rápido: en cada mundo caben 20 mensajes en 1 minuto. Podrás seguir en 1 minuto.',
      spam: 'Ya has enviado este mensaje 10 veces en 1 hora. Prueba a decirlo de otra manera.',
    })
  })

  it('in English', async () => {
    expect(await denials('en')).toEqual({
      agents: 'This world is full: the free plan has room for 3 agents per world. With plus there is room for 10; with ultra there is room for 50.',
      cooldown: 'One moment: there is a short pause between messages. You can write in 3 seconds. With plus the pause is 2 seconds; with ultra there is no pause.',
      dailyMessages: `Daily limit reached: the free plan gives 50 messages a day. You can go on in 12 hours (${formatInstant(MIDNIGHT, 'en')}). With plus you have 500; with ultra there is no limit.`,
      flood: 'You are going very fast: each world takes 20 messages in 1 minute. You can go on in 1 minute.',
      spam: 'You have sent this message 10 times in 1 hour. Try to say it another way.',
    })
  })

  it('in Russian', async () => {
    expect(await denials('ru')).toEqual({
      agents: 'В этом мире больше нет места: план free допускает 3 агента на мир. С plus их 10; с ultra их 50.',
      cooldown: 'Минутку: между сообщениями нужна небольшая пауза. Написать можно через 3 секунды. С plus пауза всего 2 секунды; с ultra паузы нет.',
      dailyMessages: `Дневной лимит исчерпан: план free даёт 50 сообщений в день. Продолжить можно через 12 часов (${formatInstant(MIDNIGHT, 'ru')}). С plus их 500; с ultra лимита нет.`,
      flood: 'Слишком быстро: каждый мир принимает 20 сообщений за 1 минуту. Продолжить можно через 1 минуту.',
      spam: 'Вы уже отправили это сообщение 10 раз за 1 час. Попробуйте сказать по-другому.',
    })
  })
})

describe('a pause of one second', () => {
  it('is the subject of its sentence', () => {
    const facts: MessageFacts = { limit: 'cooldown', kind: 'cooldown', code: 'COOLDOWN', max: 1, used: 1, remaining: 0, resetAt: 0, retryAfterMs: 1000, meter: 'requests', plan: 'free', better: [{ plan: 'plus', max: 1, waitMs: 1000 }], now: 0 }
    const text = createMessages(messages)
    expect(text(facts, 'ru')).toMatch(/через 1 секунду\. С plus пауза всего 1 секунда\.$/)
    expect(text(facts, 'es')).toMatch(/en 1 segundo\. Con plus la pausa es de 1 segundo\.$/)
  })
})

describe('violationLog', () => {
  const facts = { code: 'A_CODE', max: 50, used: 50, remaining: 0, resetAt: MIDNIGHT, retryAfterMs: 1000 }

  it.each([
    ['dailyMessages', 'quota', '[World Message] Límite diario excedido para usuario ada'],
    ['cooldown', 'cooldown', '[World Message] Cooldown activo para usuario ada en mundo w1'],
    ['spam', 'duplicates', '[World Message] Spam detectado para usuario ada en mundo w1'],
    ['flood', 'slidingWindow', '[World Message] Flooding detectado para usuario ada en mundo w1'],
    ['agents', 'capacity', '[World Agent] Límite de agentes excedido para usuario ada en mundo w1'],
  ] as const)('says of %s (%s): %s', (limit, kind, line) => {
    const { remaining: _, ...rest } = facts
    expect(violationLog({ limit, kind, ...facts }, { userId: 'ada', worldId: 'w1' })).toEqual({
      line,
      fields: { event: 'world_limit_violation', userId: 'ada', worldId: 'w1', limit, kind, ...rest },
    })
  })

  it('stays on one line whatever the ids are', () => {
    const { line } = violationLog({ limit: 'spam', kind: 'duplicates', ...facts }, { userId: 'ada\n[World Message] forged', worldId: '\u2028\u001b[2J' })
    expect(line).toBe('[World Message] Spam detectado para usuario ada\\u000a[World Message] forged en mundo \\u2028\\u001b[2J')
  })
})
