import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { freshPostgres } from '../../../tollgate/src/testing/databases.ts'
import { ADMIN, type Answer, RunningServer } from './running-server.ts'

/** Processes that keep their credits in one place: one on SQLite, two on a PostgreSQL database. */
interface Place {
  readonly servers: RunningServer[]
  close(): Promise<void>
}

const PLACES: Record<string, () => Promise<Place>> = {
  async sqlite() {
    const server = await RunningServer.start()
    return { servers: [server], close: () => server.stop() }
  },
  async postgres() {
    const { url: DATABASE_URL, drop } = await freshPostgres()
    // At once: one of them makes the tables.
    const servers = await Promise.all([1, 2].map(() => RunningServer.start({ DATABASE_URL })))
    return {
      servers,
      async close() {
        await Promise.all(servers.map((server) => server.stop()))
        await drop()
      },
    }
  },
}

describe.each(Object.entries(PLACES))('the telegram bot, with its tokens in %s', (kind, open) => {
  let place: Place
  let asked = 0
  beforeAll(async () => {
    place = await open()
  })
  afterAll(() => place?.close())

  /** Each request goes to the next process. */
  const server = (): RunningServer => place.servers[asked++ % place.servers.length]!
  const send = (method: string, route: string, body?: unknown, headers: Record<string, string> = {}) => server().send(method, route, { headers: { ...ADMIN, ...headers }, ...(body !== undefined && { body }) })
  const subscribe = (user: string, plan: string, more: object = {}) => send('PUT', `/v1/subjects/telegram:${user}`, { plan: `telegram-bot/${plan}`, ...more })
  const consume = (user: string, operation: string, more: object = {}, headers: Record<string, string> = {}): Promise<Answer> =>
    send('POST', '/v1/consume?respond=status', { subject: `telegram:${user}`, operation, ...more }, headers)
  const grant = (user: string, amount: number, more: object = {}) => send('POST', `/v1/subjects/telegram:${user}/grants`, { amount, source: 'pack', ...more })
  const creditsOf = async (user: string) => (await send('GET', `/v1/subjects/telegram:${user}/usage`)).body.credits
  const ledgerOf = async (user: string) => (await send('GET', `/v1/subjects/telegram:${user}/ledger`)).body.entries as { id: number; kind: string; amount: number; balanceAfter: number; reservation: string; actor: string | null }[]

  /** The clock of one process; the others follow. */
  async function advanceTo(at: number): Promise<void> {
    await place.servers[0]!.advanceTo(at)
    for (const each of place.servers) await expect.poll(() => each.now(), { timeout: 20_000 }).toBeGreaterThanOrEqual(at)
  }

  it('sells three plans', async () => {
    const { body } = await send('GET', '/v1/plans')
    const plans = (body.plans as { id: string; price: { amount: number; currency: string }; credits: object }[]).filter(({ id }) => id.startsWith('telegram-bot/'))
    expect(plans.map(({ id, price, credits }) => [id, price.amount, price.currency, credits])).toEqual([
      ['telegram-bot/Gift', 0, 'RUB', { grant: 100, every: 'month', requires: 'channelSubscription' }],
      ['telegram-bot/Professional', 1990, 'RUB', { grant: 2000, every: 'month' }],
      ['telegram-bot/Business', 3490, 'RUB', { grant: 10_000, every: 'month' }],
    ])
  })

  it('gives Gift its tokens when the channel is confirmed, takes what operations cost, and says what is missing', async () => {
    await subscribe('gift', 'Gift')
    expect((await consume('gift', 'chatgpt_message')).body).toMatchObject({ status: 402, code: 'INSUFFICIENT_CREDITS', cost: 5, balance: 0, deficit: 5 })
    await subscribe('gift', 'Gift', { attributes: { channelSubscription: true } })
    expect(await creditsOf('gift')).toEqual({ balance: 100, available: 100, reserved: 0, spent: 0 })
    const costs: number[] = []
    for (const operation of ['image_generation', 'sora_image', 'chatgpt_message']) costs.push((await consume('gift', operation)).body.credits.cost)
    expect(costs).toEqual([10, 10, 5])
    expect(await creditsOf('gift')).toMatchObject({ balance: 75, spent: 25 })
    // What a limit denies is not charged.
    const burst = []
    for (let i = 0; i < 4; i++) burst.push((await consume('gift', 'sora_image')).status)
    expect(burst).toEqual([200, 200, 429, 429])
    expect((await creditsOf('gift')).spent).toBe(45)
  })

  it('grants nothing for a plan that only the request names', async () => {
    const denied = await consume('stranger', 'image_generation', { plan: 'telegram-bot/Professional' })
    expect([denied.status, denied.body.deficit]).toEqual([402, 10])
    await grant('stranger', 15)
    expect((await consume('stranger', 'image_generation', { plan: 'telegram-bot/Professional' })).body).toMatchObject({ allowed: true, credits: { cost: 10, balance: 5 }, limits: [{ max: 50 }, { max: 10 }] })
    expect((await consume('stranger', 'image_generation', { plan: 'telegram-bot/Professional' })).body).toMatchObject({ cost: 10, balance: 5, deficit: 5 })
  })

  it('gives tokens back when an operation fails, and the ledger tells all of it', async () => {
    const { status, body } = await grant('refunded', 30, { reason: 'payment 7' })
    expect([status, body]).toEqual([201, { grant: 1, balance: { balance: 30, available: 30, reserved: 0, spent: 0, granted: 30, expired: 0 } }])
    const plan = 'telegram-bot/Business'
    const { reservation } = (await consume('refunded', 'image_generation', { plan })).body
    const refund = await send('POST', '/v1/subjects/telegram:refunded/refunds', { reservation: reservation.id, reason: 'no picture came' })
    expect([refund.status, refund.body]).toMatchObject([200, { refunded: 10, balance: { balance: 30, spent: 0 } }])
    // Held while the model works, and back when it fails.
    const held = await send('POST', '/v1/reserve', { subject: 'telegram:refunded', plan, operation: 'sora_image' })
    expect(held.body.credits).toMatchObject({ available: 20, reserved: 10 })
    await send('POST', `/v1/reservations/${held.body.reservation.id}/release`)
    expect(await creditsOf('refunded')).toMatchObject({ available: 30, reserved: 0 })
    const first = await send('GET', '/v1/subjects/telegram:refunded/ledger?limit=2')
    expect(first.body).toMatchObject({
      entries: [
        { id: 3, kind: 'refund', amount: 10, balanceAfter: 30, grant: 1, reservation: reservation.id, operation: 'image_generation', reason: 'no picture came', actor: 'operator' },
        { id: 2, kind: 'spend', amount: -10, balanceAfter: 20, grant: 1, reservation: reservation.id, operation: 'image_generation', reason: null },
      ],
      next: 2,
    })
    const second = await send('GET', '/v1/subjects/telegram:refunded/ledger?limit=2&before=2')
    expect(second.body).toMatchObject({ entries: [{ id: 1, kind: 'grant', amount: 30, balanceAfter: 30, reason: 'payment 7', actor: 'operator' }], next: null })
  })

  it('renews at the end of a month that has no 31st, and on the 31st again', async () => {
    const year = new Date(await place.servers[0]!.now()).getUTCFullYear() + 1
    const startAt = Date.UTC(year, 0, 31, 12)
    const lastOfFebruary = Date.UTC(year, 2, 0, 12)
    await advanceTo(startAt)
    await subscribe('monthly', 'Professional')
    await consume('monthly', 'image_generation')
    // The plan began a moment after the clock was set.
    const [{ at: beganAt } = { at: 0 }] = (await ledgerOf('monthly')).filter(({ kind }) => kind === 'grant') as unknown as { at: number }[]
    const delay = beganAt - startAt
    expect(delay).toBeGreaterThanOrEqual(0)
    await advanceTo(lastOfFebruary - 60_000)
    expect(await creditsOf('monthly')).toMatchObject({ balance: 1990 })
    await advanceTo(lastOfFebruary + delay)
    expect(await creditsOf('monthly')).toMatchObject({ balance: 2000, spent: 10 })
    await consume('monthly', 'image_generation')
    await advanceTo(Date.UTC(year, 2, 31, 12) - 60_000)
    expect(await creditsOf('monthly')).toMatchObject({ balance: 1990 })
    await advanceTo(Date.UTC(year, 2, 31, 12) + delay)
    expect(await creditsOf('monthly')).toMatchObject({ balance: 2000, spent: 20 })
    expect((await ledgerOf('monthly')).map(({ kind, amount }) => `${kind} ${amount}`).toReversed()).toEqual(['grant 2000', 'spend -10', 'expire -1990', 'grant 2000', 'spend -10', 'expire -1990', 'grant 2000'])
  })

  it('changes the plan at the end of the period', async () => {
    await subscribe('changing', 'Professional')
    const { body } = await subscribe('changing', 'Business', { change: { at: 'periodEnd' } })
    expect(body).toMatchObject({ plan: 'telegram-bot/Professional', nextPlan: { plan: 'telegram-bot/Business' } })
    await advanceTo(body.nextPlan.at)
    // What was read of a subject is believed for a second.
    await expect.poll(async () => (await send('GET', '/v1/subjects/telegram:changing')).body).toEqual({ subject: 'telegram:changing', plan: 'telegram-bot/Business' })
    expect(await creditsOf('changing')).toMatchObject({ balance: 10_000 })
  })

  it('keeps everything over a restart', async () => {
    await subscribe('kept', 'Professional')
    const headers = { 'idempotency-key': randomUUID() }
    const first = await consume('kept', 'image_generation', {}, headers)
    const { key } = (await send('POST', '/v1/keys', { scopes: ['read'] })).body
    const before = [await creditsOf('kept'), await ledgerOf('kept')]
    const now = await place.servers[0]!.now()
    for (const each of place.servers) await each.restart()
    const again = await consume('kept', 'image_generation', {}, headers)
    expect([again.headers.get('idempotency-replayed'), again.body]).toEqual(['true', first.body])
    expect([await creditsOf('kept'), await ledgerOf('kept')]).toEqual(before)
    for (const each of place.servers) {
      expect((await each.get('/v1/subjects/telegram:kept', { authorization: `Bearer ${key}` })).body).toEqual({ subject: 'telegram:kept', plan: 'telegram-bot/Professional' })
      expect(await each.now()).toBeGreaterThanOrEqual(now)
    }
  })

  it.each([1, 2, 3])('keeps what was acknowledged when it is killed, and charges once what was not (%i)', async (round) => {
    const user = `killed-${round}`
    await grant(user, 200)
    const [victim] = place.servers
    const requests = Array.from({ length: 18 }, (_, i) => ({ key: `${user} ${i}`, answer: undefined as unknown }))
    const ask = (to: RunningServer, key: string) =>
      to.post('/v1/consume', { subject: `telegram:${user}`, plan: 'telegram-bot/Business', operation: 'chatgpt_message' }, { ...ADMIN, 'idempotency-key': key })
    let acknowledged = 0
    let enough = () => {}
    const some = new Promise<void>((resolve) => (enough = resolve))
    const under = Promise.allSettled(
      requests.map(async (request) => {
        request.answer = (await ask(victim!, request.key)).body
        if (++acknowledged === 6 * (round - 1) || round === 1) enough()
      }),
    )
    await some
    await victim!.kill()
    await under
    const witness = requests.filter(({ answer }) => answer !== undefined)
    expect(witness.length).toBeGreaterThan(0)
    if (kind === 'sqlite') await victim!.restart()
    const other = place.servers.at(-1)!
    // A crash between counters and credits leaves the counters stricter: let that burst be over.
    await other.advance(1000)
    for (const request of requests) {
      const { status, body, headers } = await answered(() => ask(other, request.key))
      expect([status, body.allowed]).toEqual([200, true])
      if (request.answer === undefined) continue
      expect(body).toEqual(request.answer)
      expect(headers.get('idempotency-replayed')).toBe('true')
    }
    if (kind === 'postgres') await victim!.restart()
    expect(await creditsOf(user)).toEqual({ balance: 110, available: 110, reserved: 0, spent: 90 })
    const entries = (await ledgerOf(user)).toReversed()
    expect(entries.map(({ amount }) => amount)).toEqual([200, ...Array<number>(18).fill(-5)])
    expect(entries.map(({ balanceAfter }) => balanceAfter)).toEqual(entries.map((_, i) => entries.slice(0, i + 1).reduce((sum, { amount }) => sum + amount, 0)))
    expect(new Set(entries.map(({ reservation }) => reservation)).size).toBe(19)
  })

  /** Of a request that the dead process had begun, the others wait until they believe that it is dead. */
  async function answered(ask: () => Promise<Answer>): Promise<Answer> {
    let answer!: Answer
    await expect.poll(async () => (answer = await ask()).status, { timeout: 15_000, interval: 100 }).not.toBe(409)
    return answer
  }

  it('forgets a user, and keeps the sums', async () => {
    await grant('gone', 50, { reason: 'a birthday' })
    expect((await send('DELETE', '/v1/subjects/telegram:gone')).status).toBe(204)
    expect((await send('GET', '/v1/subjects/telegram:gone/ledger')).body).toEqual({ entries: [], next: null })
    expect((await send('GET', '/v1/subjects/telegram:gone/usage')).status).toBe(404)
    expect((await grant('gone', 7)).body).toMatchObject({ grant: 1, balance: { balance: 7 } })
  })
})

describe('two processes on one database', () => {
  let place: Place
  beforeAll(async () => {
    place = await PLACES['postgres']!()
  })
  afterAll(() => place?.close())
  const soon = { timeout: 2000, interval: 20 }

  it('share limits, keys, and the switch', async () => {
    const [one, two] = place.servers as [RunningServer, RunningServer]
    const { key, id } = (await one.post('/v1/keys', { scopes: ['consume'] }, ADMIN)).body
    const own = { authorization: `Bearer ${key}` }
    const message = { subject: 'chat:u', plan: 'chat-models/user', operation: 'message', dimensions: { model: 'claude-opus-4' } }
    await expect.poll(async () => (await two.post('/v1/check', message, own)).status, soon).toBe(200)
    const answers = await Promise.all(Array.from({ length: 60 }, (_, i) => [one, two][i % 2]!.post('/v1/consume', message, own)))
    expect(answers.filter(({ body }) => body.allowed)).toHaveLength(20)
    await one.send('PUT', '/v1/rollout', { headers: ADMIN, body: { mode: 'off', percent: 100 } })
    await expect.poll(async () => (await two.post('/v1/check', message, own)).body.mode, soon).toBe('off')
    await two.send('DELETE', `/v1/keys/${id}`, { headers: ADMIN })
    await expect.poll(async () => (await one.post('/v1/check', message, own)).status, soon).toBe(401)
  })

  it('end the streams of a key that the other revoked', async () => {
    const [one, two] = place.servers as [RunningServer, RunningServer]
    const { key, id } = (await one.post('/v1/keys', { scopes: ['read'] }, ADMIN)).body
    const stream = await fetch(`${one.url}/v1/subjects/telegram:u/events`, { headers: { authorization: `Bearer ${key}` } })
    const ended = stream.text()
    await two.send('DELETE', `/v1/keys/${id}`, { headers: ADMIN })
    expect(await ended).not.toContain('event: decision')
  })

  it('give one answer to one key', async () => {
    const request = { subject: 'chat:once', plan: 'chat-models/user', operation: 'message', dimensions: { model: 'gemini-2.0-flash' } }
    await place.servers[0]!.send('PUT', '/v1/rollout', { headers: ADMIN, body: { mode: 'enforce', percent: 100 } })
    await expect.poll(async () => (await place.servers[1]!.get('/v1/rollout', ADMIN)).body.mode, soon).toBe('enforce')
    const answers = await Promise.all(Array.from({ length: 20 }, (_, i) => place.servers[i % 2]!.post('/v1/consume', request, { ...ADMIN, 'idempotency-key': 'k' })))
    expect(answers.every(({ status }) => status === 200 || status === 409)).toBe(true)
    const [used] = (await place.servers[0]!.get('/v1/subjects/chat:once/usage', ADMIN)).body.limits
    expect(used).toMatchObject({ limit: 'monthlyMessages', used: 1 })
  })
})
