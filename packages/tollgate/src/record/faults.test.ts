import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type CommonOptions, cooldown, type CounterStore, createTollgate, definePlans, MemoryStore, quota, type RecordStore, type SettleCommand, TollgateError, type UsageEvent } from '../index.ts'
import { SqlCounterStore } from '../stores/sql/index.ts'
import { type ControlledClock, controlledClock } from '../testing/clock.ts'
import { openedBy } from '../testing/databases.ts'
import { SqlRecord } from './sql.ts'

const plans = definePlans({
  free: { rank: 0, limits: { daily: quota({ limit: 50, every: 'day' }), tokens: quota({ limit: 10_000, every: 'month', meter: 'tokens' }) }, credits: { grant: 0, every: 'month' } },
  hasty: { rank: 1, limits: { wait: cooldown({ wait: '1h' }) } },
})
const operations = { chat: {}, paid: { credits: 5 } } as const

describe('what goes wrong around the record', () => {
  let opened: Awaited<ReturnType<typeof openedBy>>
  let clock: ControlledClock
  let namespace = ''
  let serial = 0
  beforeAll(async () => {
    opened = await openedBy(1, 'sqlite')
  })
  afterAll(() => opened?.drop())
  beforeEach(() => {
    clock = controlledClock(Date.UTC(2026, 5, 10, 12))
    namespace = `f${serial++}`
  })

  const rows = (sql: string, params: (string | number)[] = []) => opened.databases[0]!.query(sql, params)
  const record = () => new SqlRecord(opened.databases[0]!, { namespace })
  const engine = (more: CommonOptions = {}) => createTollgate({ plans, operations, defaultPlan: 'free', clock, namespace, secret: 'a secret of sixteen bytes', record: record(), ...more })
  const counters = (on: { now(): number } = clock) => new SqlCounterStore(opened.databases[0]!, { clock: on })
  const used = async (tollgate: ReturnType<typeof engine>, limit = 'daily') => (await tollgate.usage('u')).limits.find((state) => state.limit === limit)?.used
  const kinds = async (subject = 'u') =>
    (await rows('SELECT e.kind FROM usage_events e JOIN usage_subjects s ON s.id = e.subject_id WHERE s.namespace = $1 AND s.subject = $2 ORDER BY e.seq', [namespace, subject])).map(({ kind }) => kind)
  const total = async () => (await rows("SELECT sum(used) AS n FROM usage_totals t JOIN usage_subjects s ON s.id = t.subject_id WHERE s.namespace = $1 AND t.lim = 'daily'", [namespace]))[0]!['n']
  const requests = async () => (await rows("SELECT coalesce(sum(amount), 0) AS n FROM usage_summary WHERE namespace = $1 AND lim = '' AND meter = 'requests'", [namespace]))[0]!['n']

  async function consumed(tollgate: ReturnType<typeof engine>, count: number): Promise<void> {
    for (let i = 0; i < count; i++) await tollgate.consume({ subject: 'u' })
    await tollgate.flush()
  }

  describe('counters that are lost', () => {
    it.each(['memory', 'database'])('while limits are off, too: a reservation of nothing makes nobody known (%s)', async (kind) => {
      const store = kind === 'memory' ? new MemoryStore() : counters()
      await consumed(engine({ store }), 50)
      await rows('DELETE FROM counters')
      const after = engine({ store: kind === 'memory' ? new MemoryStore() : store, rollout: { mode: 'off', percent: 100 } })
      await after.reserve({ subject: 'u' })
      after.setRollout({ mode: 'enforce', percent: 100 })
      expect((await after.consume({ subject: 'u' })).allowed).toBe(false)
    })

    it.each(['commit', 'release'] as const)('with a hold open: its %s leaves what is on record to come back', async (action) => {
      const tollgate = engine({ store: counters() })
      await consumed(tollgate, 48)
      const { reservation } = await tollgate.reserve({ subject: 'u' })
      await rows('DELETE FROM counters')
      await tollgate[action](reservation!.id)
      expect(await used(tollgate)).toBe(action === 'commit' ? 49 : 48)
      expect((await tollgate.consume({ subject: 'u' })).allowed).toBe(true)
    })

    it('at midnight, by a clock that is ahead: the month comes back, the day that is over does not', async () => {
      clock.set(Date.UTC(2026, 5, 11) - 200)
      const ahead = { now: () => clock.now() + 500 }
      const before = engine({ store: counters() })
      await before.consume({ subject: 'u', amounts: { tokens: 900 } })
      await before.flush()
      await rows('DELETE FROM counters')
      const after = engine({ store: counters(ahead) })
      await after.consume({ subject: 'u', amounts: { tokens: 1 } })
      clock.advance(1000)
      expect([await used(after), await used(after, 'tokens')]).toEqual([1, 901])
    })
  })

  describe('settlements', () => {
    /** Replies of settlements get lost: of the first `count`. */
    function losing(count: number): CounterStore {
      const store = counters()
      const settle = store.settle.bind(store)
      let left = count
      store.settle = async (command: SettleCommand) => {
        const outcome = await settle(command)
        if (left-- > 0) throw new TollgateError('STORE_UNAVAILABLE', 'the reply was lost')
        return outcome
      }
      return store
    }

    it.each([1, 2, 3, 4])('whose replies were lost (%i) are recorded when they are told again, once', async (count) => {
      const tollgate = engine({ store: losing(count) })
      const { reservation } = await tollgate.reserve({ subject: 'u', amounts: { tokens: 10 } })
      const settle = () => tollgate.commit(reservation!.id, { amounts: { tokens: 25 } }).catch((error: unknown) => (error as TollgateError).code)
      const first = await settle()
      expect(first).toEqual(count < 3 ? expect.objectContaining({ status: 'committed' }) : 'STORE_UNAVAILABLE')
      await settle()
      await settle()
      await tollgate.flush()
      expect(await kinds()).toEqual(['reserve', 'commit'])
      expect(await total()).toBe(1)
      expect(await used(tollgate, 'tokens')).toBe(25)
      expect((await record().totals('u', clock.now()))!.totals.map((each) => each.used).toSorted()).toEqual([1, 25])
    })

    it('by two processes are recorded once', async () => {
      const [a, b] = [engine({ store: counters() }), engine({ store: counters() })]
      const { reservation } = await a!.reserve({ subject: 'u', ttlMs: 5000 })
      await b!.commit(reservation!.id)
      await expect(a!.commit(reservation!.id)).rejects.toMatchObject({ code: 'ALREADY_SETTLED' })
      await Promise.all([b!.flush(), a!.flush()])
      // The process that reserved it does not know better than that it ended.
      clock.advance(7000)
      await a!.flush()
      expect((await kinds()).toSorted()).toEqual(['commit', 'reserve'])
      expect(await total()).toBe(1)
    })
  })

  it('counts requests that went ahead in shadow mode, in company and for credits too', async () => {
    const tollgate = engine({ rollout: { mode: 'shadow', percent: 100 } })
    await tollgate.setPlan('team:1', 'free')
    for (let i = 0; i < 52; i++) expect((await tollgate.consume({ subject: 'u', operation: 'chat', also: ['team:1'] })).allowed).toBe(true)
    for (let i = 0; i < 3; i++) expect((await tollgate.consume({ subject: 'v', operation: 'paid' })).allowed).toBe(true)
    await tollgate.flush()
    expect(await requests()).toBe(55)
  })

  it('does not bring a reset back', async () => {
    const before = engine()
    await consumed(before, 7)
    await before.reset('u')
    // Killed now.
    expect(await used(engine())).toBe(0)
  })

  it('resets a subject that this process has not seen yet', async () => {
    const before = createTollgate({ plans, operations, clock, namespace, secret: 'a secret of sixteen bytes', record: record() })
    await before.consume({ subject: 'u', plan: 'free' })
    await before.flush()
    const after = createTollgate({ plans, operations, clock, namespace, secret: 'a secret of sixteen bytes', record: record() })
    expect((await after.reset('u')).plan).toBe('free')
  })

  describe('an erasure', () => {
    it('is not undone by a hold that ends', async () => {
      const tollgate = engine()
      await tollgate.reserve({ subject: 'user:anna', ttlMs: 5000 })
      await tollgate.consume({ subject: 'user:anna' })
      await tollgate.erase('user:anna')
      clock.advance(10_000)
      await tollgate.flush()
      expect(JSON.stringify(await rows('SELECT * FROM usage_subjects'))).not.toContain('anna')
    })

    it('leaves nothing that names the subject in any table', async () => {
      const database = opened.databases[0]!
      const tollgate = engine({ store: counters() })
      await tollgate.setPlan('user:bert', 'free', { attributes: { mail: 'bert@example.com' } })
      await tollgate.reserve({ subject: 'user:bert', content: 'bert' })
      for (let i = 0; i < 55; i++) await tollgate.consume({ subject: 'user:bert', operation: 'chat', idempotencyKey: `bert ${i}` })
      await tollgate.erase('user:bert')
      await tollgate.flush()
      for (const { name } of await database.query("SELECT name FROM sqlite_master WHERE type = 'table'")) {
        expect(JSON.stringify(await database.query(`SELECT * FROM "${String(name)}"`)), String(name)).not.toContain('bert')
      }
      // One is held.
      expect(await requests()).toBe(49)
    })
  })

  describe('a record that is slow, or away', () => {
    const nowhere: RecordStore = { write: async () => {}, totals: async () => undefined, erase: async () => {} }
    const gone = () => Promise.reject(new TollgateError('STORE_UNAVAILABLE', 'away'))

    it('is asked once a second; limits are decided by their policy meanwhile', async () => {
      let asked = 0
      const tollgate = engine({ record: { ...nowhere, totals: () => (asked++, gone()) } })
      for (let i = 0; i < 20; i++) expect(await tollgate.consume({ subject: `new ${i}` })).toMatchObject({ allowed: true, degraded: true })
      expect(asked).toBe(1)
      expect(await tollgate.usage('new 1')).toMatchObject({ limits: [{ used: 0 }, { used: 0 }] })
      await expect(tollgate.explain({ subject: 'new 2' })).resolves.toBeDefined()
      for (let i = 0; i < 20; i++) {
        clock.advance(100)
        await tollgate.consume({ subject: 'new 1' })
      }
      expect(asked).toBe(3)
    })

    it('holds a request up no longer than its deadline', async () => {
      const tollgate = engine({ record: { ...nowhere, totals: () => new Promise(() => {}) }, recordTimeoutMs: 200 })
      const deciding = tollgate.consume({ subject: 'new' })
      clock.advance(200)
      expect(await deciding).toMatchObject({ allowed: true, degraded: true })
    })

    it('is read for thousands of subjects at a time', async () => {
      const before = engine()
      for (let i = 0; i < 3000; i++) await before.consume({ subject: `s${i}` })
      await before.flush()
      const after = engine()
      const decisions = await Promise.all(Array.from({ length: 3000 }, (_, i) => after.consume({ subject: `s${i}` })))
      expect(decisions.filter(({ limits, degraded }) => limits[0]!.used !== 2 || degraded)).toEqual([])
    })

    it('writes nothing for who is only denied, and keeps use though thousands are denied', async () => {
      const written: UsageEvent[] = []
      let isAway = true
      const tollgate = engine({ record: { ...nowhere, write: async (events) => (isAway ? gone() : void written.push(...events)) } })
      for (let i = 0; i < 30; i++) await tollgate.setPlan(`bot:${i}`, 'hasty')
      for (let second = 0; second < 40; second++) {
        for (let i = 0; i < 30; i++) for (let k = 0; k < 12; k++) await tollgate.consume({ subject: `bot:${i}`, operation: 'chat' })
        clock.advance(1000)
      }
      for (let i = 0; i < 50; i++) await tollgate.consume({ subject: 'u' })
      isAway = false
      await tollgate.flush()
      expect(written.filter(({ subject, kind }) => subject === 'u' && kind === 'consume').reduce((sum, { count }) => sum + count, 0)).toBe(50)
      expect(written.filter(({ kind }) => kind === 'denial').length).toBeLessThanOrEqual(5000)
    })

    it('gets sums in place of events when too many wait, and none is lost', async () => {
      const written: UsageEvent[] = []
      let isAway = true
      const tollgate = createTollgate({ plans: definePlans({ p: { rank: 0, limits: { daily: quota({ limit: Infinity, every: 'day', meter: 'tokens' }) } } }), defaultPlan: 'p', clock, record: { ...nowhere, write: async (events) => (isAway ? gone() : void written.push(...events)) } })
      for (let i = 0; i < 30_000; i++) await tollgate.consume({ subject: `u${i % 100}`, amounts: { tokens: 3 } })
      isAway = false
      await tollgate.flush()
      expect(written.length).toBeLessThan(20_500)
      expect(written.reduce((sum, { count }) => sum + count, 0)).toBe(30_000)
      expect(written.reduce((sum, { uses }) => sum + uses[0]!.amount, 0)).toBe(90_000)
      expect(written.reduce((sum, { amounts }) => sum + amounts['tokens']!, 0)).toBe(90_000)
    })

    it('is tried again at the end', async () => {
      const written: UsageEvent[] = []
      let failures = 1
      const tollgate = engine({ record: { ...nowhere, write: async (events) => (failures-- > 0 ? gone() : void written.push(...events)) } })
      await tollgate.consume({ subject: 'u' })
      await tollgate.close()
      expect(written).toHaveLength(1)
      expect(clock.nextTimerMs()).toBeUndefined()
    })

    it('gets what came during a write right after it', async () => {
      const batches: number[] = []
      let finish = () => {}
      const tollgate = engine({ record: { ...nowhere, write: (events) => new Promise((resolve) => (batches.push(events.length), (finish = resolve))) } })
      await tollgate.consume({ subject: 'u' })
      clock.advance(100)
      await tollgate.consume({ subject: 'u' })
      clock.advance(150)
      finish()
      await new Promise((resolve) => setImmediate(resolve))
      expect(batches).toEqual([1, 1])
    })

    it('that refuses everything keeps it for a while; that refuses one event loses that one', async () => {
      const written: UsageEvent[] = []
      let refuses: (event: UsageEvent) => boolean = () => true
      const tollgate = engine({ record: { ...nowhere, write: async (events) => { if (events.some(refuses)) throw new Error('no such table'); written.push(...events) } } })
      for (const subject of ['a', 'bad', 'c']) await tollgate.consume({ subject })
      await expect(tollgate.flush()).rejects.toThrow('no such table')
      refuses = ({ subject }) => subject === 'bad'
      await tollgate.flush()
      expect(written.map(({ subject }) => subject)).toEqual(['a', 'c'])
    })
  })
})
