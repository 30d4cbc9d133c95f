import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openSqlite } from 'tollgate/sqlite'
import { KeptReservations } from '../src/data/kept-reservations.ts'
import { lockFolder } from '../src/data/lock.ts'
import { createServer } from '../src/index.ts'
import { jsonOf, startServer, temporaryFolder, type TestServer } from './helpers.ts'

const SECRET_LENGTH = 43

describe('the data folder', () => {
  it('keeps keys, rollout, secret and the demo clock over a restart', async () => {
    const dataDir = join(temporaryFolder(), 'made', 'for', 'it')
    const first = await startServer({ dataDir })
    const { key, id } = await jsonOf(first.ask('POST', '/v1/keys', { body: { scopes: ['read'], namespace: 'acme' } }))
    await first.ask('PUT', '/v1/rollout', { body: { mode: 'shadow', percent: 50 } })
    const now = await first.advance(86_400_000)
    const secret = readFileSync(join(dataDir, 'secret'), 'utf8')
    await first.server.close()

    const second = await startServer({ dataDir })
    expect((await second.ask('GET', '/v1/plans', { key })).status).toBe(200)
    expect((await jsonOf(second.ask('GET', '/v1/keys'))).keys[0]).toMatchObject({ id, namespace: 'acme' })
    expect(await jsonOf(second.ask('GET', '/v1/rollout'))).toEqual({ mode: 'shadow', percent: 50 })
    expect((await jsonOf(second.ask('GET', '/demo/clock'))).now).toBeGreaterThanOrEqual(now)
    expect(readFileSync(join(dataDir, 'secret'), 'utf8')).toBe(secret)
    expect(secret.trim()).toHaveLength(SECRET_LENGTH)
  })

  it('keeps open reservations, with what they hold, and what stands for capacity', async () => {
    const dataDir = temporaryFolder()
    const first = await startServer({ dataDir })
    const reserve = (server: typeof first, operation: string, subject = 'telegram:ana') => jsonOf(server.ask('POST', '/v1/reserve', { body: { subject, operation, ttlMs: 3_600_000 } }))
    const agents = (server: typeof first) => server.as('ana')('POST', '/api/worlds/w1/agents', { name: 'Zoe' })
    await first.ask('PUT', '/v1/subjects/telegram:ana', { body: { plan: 'telegram-bot/Professional' } })
    const [committed, released] = [await reserve(first, 'image_generation'), await reserve(first, 'image_generation')]
    const used = await jsonOf(first.ask('GET', '/v1/subjects/telegram:ana/usage'))
    for (let i = 0; i < 3; i++) expect((await agents(first)).status).toBe(200)
    await first.server.close()

    const second = await startServer({ dataDir })
    expect((await jsonOf(second.ask('GET', '/v1/subjects/telegram:ana/usage'))).credits).toEqual(used.credits)
    expect(await jsonOf(second.ask('POST', `/v1/reservations/${committed.reservation.id}/commit`, { body: {} }))).toMatchObject({ status: 'committed', late: false })
    expect(await jsonOf(second.ask('POST', `/v1/reservations/${released.reservation.id}/release`, { body: {} }))).toMatchObject({ status: 'released' })
    expect((await jsonOf(second.ask('GET', '/v1/subjects/telegram:ana/usage'))).credits).toMatchObject({ spent: 10, reserved: 0 })
    expect((await agents(second)).status).toBe(429)
    await second.server.close()

    writeFileSync(join(dataDir, 'reservations.json'), '{"version":1,"namespaces":{"default":"[]"}}')
    await expect(startServer({ dataDir })).rejects.toThrow(/reservations\.json cannot be used .*backup.*without them/)
  })

  it('keeps what quotas counted and what is reserved apart: neither is counted twice after a restart', async () => {
    const dataDir = temporaryFolder()
    const body = (tokens: number) => ({ subject: 'business:b', plan: 'business-chat/STARTER', amounts: { tokens } })
    const first = await startServer({ dataDir })
    await first.ask('POST', '/v1/consume', { body: body(100) })
    const { reservation } = await jsonOf(first.ask('POST', '/v1/reserve', { body: { ...body(1000), ttlMs: 3_600_000 } }))
    await first.server.close()

    const second = await startServer({ dataDir })
    const tokens = async () => (await jsonOf(second.ask('GET', '/v1/subjects/business:b/usage?plan=business-chat%2FSTARTER'))).limits.find(({ limit }: { limit: string }) => limit === 'monthlyTokens').used as number
    expect(await jsonOf(second.ask('POST', `/v1/reservations/${reservation.id}/commit`, { body: { amounts: { tokens: 50 } } }))).toMatchObject({ status: 'committed' })
    expect(await tokens()).toBe(150)
    await second.ask('POST', '/v1/consume', { body: body(1) })
    expect(await tokens()).toBe(151)
  })

  it('keeps what is open every second, for a process that is killed', async () => {
    const folder = temporaryFolder()
    const clock = { now: () => 1_800_000_000_000 }
    const kept = new KeptReservations(folder, clock, () => {})
    kept.store('default').decide({ subject: 'u', plan: 'free', charges: [], now: clock.now(), action: 'reserve', reservation: { id: 'r1', ttlMs: 1000, memo: { plan: 'free', amounts: {} } } })
    await kept.write()
    const next = new KeptReservations(folder, clock, () => {})
    expect(next.store('default').settle({ id: 'r1', action: 'commit', now: clock.now() }).result).toBe('settled')
    expect(statSync(join(folder, 'reservations.json')).mode & 0o777).toBe(0o600)
    await Promise.all([kept.close(), next.close()])
    expect(new KeptReservations(folder, clock, () => {}).store('default').settle({ id: 'r1', action: 'commit', now: clock.now() }).result).toBe('unknown')
  })

  it('is whole when the process ends while what is open is written', async () => {
    const folder = temporaryFolder()
    const clock = { now: () => 1_800_000_000_000 }
    const kept = new KeptReservations(folder, clock, () => {})
    const store = kept.store('default')
    const reserve = (id: string) => store.decide({ subject: 'u', plan: 'free', charges: [], now: clock.now(), action: 'reserve', reservation: { id, ttlMs: 1000, memo: { plan: 'free', amounts: {} } } })
    for (let i = 0; i < 2000; i++) reserve(`r${i}`)
    const writing = kept.write()
    for (let i = 1; i < 2000; i++) store.settle({ id: `r${i}`, action: 'release', now: clock.now() })
    await Promise.all([writing, kept.close(), kept.write()])
    const next = new KeptReservations(folder, clock, () => {}).store('default')
    expect(['r0', 'r1'].map((id) => next.settle({ id, action: 'commit', now: clock.now() }).result)).toEqual(['settled', 'unknown'])
  })

  it('keeps when usage of the chat was reset over a restart', async () => {
    const dataDir = temporaryFolder()
    const asAdmin = ({ as }: TestServer) => as('eva', undefined, { 'X-Demo-Role': 'admin' })
    const lastResets = (server: TestServer) => Promise.all(['ana', 'max'].map(async (user) => (await jsonOf(asAdmin(server)('GET', `/api/usage?userId=${user}`))).lastReset as number))
    const first = await startServer({ dataDir })
    const before = await first.advance(0)
    await asAdmin(first)('DELETE', '/api/usage?userId=ana')
    await first.ask('PUT', '/v1/subjects/chat:max', { body: { plan: 'chat-models/user' } })
    await first.ask('POST', '/v1/subjects/chat:max/reset')
    const told = await lastResets(first)
    for (const at of told) expect(at).toBeGreaterThanOrEqual(before)
    await first.server.close()

    const second = await startServer({ dataDir })
    expect(await lastResets(second)).toEqual(told)
    await second.ask('DELETE', '/v1/subjects/chat:max')
    expect(readFileSync(join(dataDir, 'state.json'), 'utf8')).not.toContain('chat:max')
  })

  it('is for its owner only, and holds no secret of a key', async () => {
    const dataDir = join(temporaryFolder(), 'data')
    const { ask } = await startServer({ dataDir })
    const { key } = await jsonOf(ask('POST', '/v1/keys', { body: { scopes: ['read'] } }))
    expect(statSync(dataDir).mode & 0o777).toBe(0o700)
    for (const file of ['state.json', 'secret', 'lock', 'tollgate.db', 'tollgate.db-wal']) expect(statSync(join(dataDir, file)).mode & 0o777).toBe(0o600)
    expect(readFileSync(join(dataDir, 'state.json'), 'utf8')).not.toContain((key as string).slice(-SECRET_LENGTH))
    expect(readdirSync(dataDir).toSorted()).toEqual(['lock', 'secret', 'state.json', 'tollgate.db', 'tollgate.db-shm', 'tollgate.db-wal'])
  })

  it.each([
    ['half of it', '{"version":1,"keys":['],
    ['nothing', ''],
    ['something else', '[]'],
    ['a later version', '{"version":2}'],
    ['a clock that runs backwards', '{"version":1,"clockOffsetMs":-5}'],
  ])('says which file is wrong and what to do: %s', async (_, text) => {
    const dataDir = temporaryFolder()
    writeFileSync(join(dataDir, 'state.json'), text)
    const failing = startServer({ dataDir })
    await expect(failing).rejects.toThrow(join(dataDir, 'state.json'))
    await expect(failing).rejects.toThrow(/backup.*afresh/)
    // Whoever repairs it is not kept out by a lock that the failed start left.
    expect(existsSync(join(dataDir, 'lock'))).toBe(false)
  })

  it('says so when the secret is too short', async () => {
    const dataDir = temporaryFolder()
    writeFileSync(join(dataDir, 'secret'), 'abc')
    await expect(startServer({ dataDir })).rejects.toThrow(/secret.*TOLLGATE_SECRET/)
  })

  it('says so when the database is none, or a newer one', async () => {
    const dataDir = temporaryFolder()
    const file = join(dataDir, 'tollgate.db')
    writeFileSync(file, 'x'.repeat(10_000))
    await expect(startServer({ dataDir })).rejects.toThrow(/tollgate\.db cannot be used .*backup.*afresh/)
    expect(existsSync(join(dataDir, 'lock'))).toBe(false)
    rmSync(file)
    await (await startServer({ dataDir })).server.close()
    const database = await openSqlite(file)
    await database.query("INSERT INTO migrations VALUES (1000, '1000_later', '', 0)")
    await database.close()
    await expect(startServer({ dataDir })).rejects.toThrow(/tollgate\.db cannot be used .*a newer one/)
  })

  it('says so when it cannot be made', async () => {
    const file = join(temporaryFolder(), 'file')
    writeFileSync(file, '')
    await expect(startServer({ dataDir: join(file, 'data') })).rejects.toThrow(/TOLLGATE_DATA_DIR/)
  })

  it('undoes what could not be written', async () => {
    const dataDir = temporaryFolder()
    const { ask } = await startServer({ dataDir })
    // A folder in the place of the draft: no file can be written there.
    mkdirSync(join(dataDir, 'state.json.tmp'))
    expect((await ask('POST', '/v1/keys', { body: { scopes: ['read'] } })).status).toBe(500)
    expect(await jsonOf(ask('GET', '/v1/keys'))).toEqual({ keys: [] })
    await ask('PUT', '/v1/rollout', { body: { mode: 'off', percent: 100 } })
    expect(await jsonOf(ask('GET', '/v1/rollout'))).toEqual({ mode: 'enforce', percent: 100 })
  })
})

describe('the lock', () => {
  const lockOf = (folder: string) => join(folder, 'lock')

  it('refuses a second server, with the fix', async () => {
    const dataDir = temporaryFolder()
    const first = await startServer({ dataDir })
    const second = createServer({ dataDir })
    await expect(second).rejects.toThrow(`in use by process ${process.pid}`)
    await expect(second).rejects.toThrow(/TOLLGATE_DATA_DIR/)
    await first.server.close()
    await (await createServer({ dataDir })).close()
  })

  it('takes over what a dead process left', async () => {
    const folder = temporaryFolder()
    const child = spawn(process.execPath, ['-e', ''])
    await new Promise((resolve) => child.once('exit', resolve))
    writeFileSync(lockOf(folder), JSON.stringify({ pid: child.pid, host: hostname(), startedAs: null, token: 'old' }))
    const unlock = lockFolder(folder)
    expect(JSON.parse(readFileSync(lockOf(folder), 'utf8'))).toMatchObject({ pid: process.pid })
    unlock()
    expect(readdirSync(folder)).toEqual([])
  })

  it.runIf(process.platform === 'linux')('takes over when the number belongs to another process by now', () => {
    const folder = temporaryFolder()
    writeFileSync(lockOf(folder), JSON.stringify({ pid: process.pid, host: hostname(), startedAs: 'another-boot:1', token: 'old' }))
    lockFolder(folder)()
    expect(readdirSync(folder)).toEqual([])
  })

  it.each(['', '{"pid":', '{"pid":-1,"token":"x"}', '{"pid":1,"token":"../../etc"}'])('takes over what is no lock: %j', (text) => {
    const folder = temporaryFolder()
    writeFileSync(lockOf(folder), text)
    lockFolder(folder)()
    expect(readdirSync(folder)).toEqual([])
  })

  it('does not judge processes of another machine', () => {
    const folder = temporaryFolder()
    writeFileSync(lockOf(folder), JSON.stringify({ pid: 1, host: 'elsewhere', startedAs: null, token: 'old' }))
    expect(() => lockFolder(folder)).toThrow(/process 1 on elsewhere.*remove .*lock/)
  })

  it('takes over after a process that died while it took over', () => {
    const folder = temporaryFolder()
    const dead = { pid: 2 ** 22 + 1, host: hostname(), startedAs: null }
    writeFileSync(lockOf(folder), JSON.stringify({ ...dead, token: 'old' }))
    writeFileSync(`${lockOf(folder)}.after-old`, JSON.stringify({ ...dead, token: 'older' }))
    lockFolder(folder)()
    expect(readdirSync(folder)).toEqual([])
  })

  it('is taken over by exactly one of many', async () => {
    const folder = temporaryFolder()
    writeFileSync(lockOf(folder), JSON.stringify({ pid: 2 ** 22 + 1, host: hostname(), startedAs: null, token: 'old' }))
    const script = `
      import { lockFolder } from ${JSON.stringify(new URL('../dist/data/lock.js', import.meta.url).href)}
      try { lockFolder(process.argv[1]); console.log('held'); setTimeout(() => {}, 3000) } catch (error) { console.log(error.name) }
    `
    const outcomes = await Promise.all(
      Array.from({ length: 6 }, async () => {
        const child = spawn(process.execPath, ['--input-type=module', '-e', script, folder])
        const outcome = await new Promise<string>((resolve) => child.stdout.once('data', (data) => resolve(String(data).trim())))
        return { child, outcome }
      }),
    )
    for (const { child } of outcomes) child.kill()
    expect(outcomes.map(({ outcome }) => outcome).toSorted()).toEqual([...Array<string>(5).fill('StartupError'), 'held'])
  })
})
