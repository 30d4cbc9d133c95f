import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { command, startRedis } from '../../../../tools/services/redis.mjs'
import { createWorldLimits } from './virtual-worlds.ts'

/** The module as each process has it: with an instance of its own. */
async function aProcess() {
  vi.resetModules()
  return import('./virtual-worlds.ts')
}

afterEach(() => {
  vi.unstubAllEnvs()
  vi.restoreAllMocks()
})

describe('the functions of the module with REDIS_URL', () => {
  let server: Awaited<ReturnType<typeof startRedis>>
  beforeEach(async () => {
    server = await startRedis()
    vi.stubEnv('REDIS_URL', server.url)
    vi.stubEnv('TOLLGATE_SECRET', 'a secret of 16 bytes or more')
  })
  afterEach(() => server.stop())

  it('count in Redis, for all processes', async () => {
    const [one, two] = [await aProcess(), await aProcess()]
    expect(one.checkWorldAgentLimit(3, 'free')).toMatchObject({ allowed: false })
    for (let i = 0; i < 50; i++) await one.trackWorldMessageUsage('ada')
    // What a busy machine answers too late is decided in memory: then it is asked again.
    await expect.poll(() => two.checkWorldMessageLimit('ada', 'free')).toMatchObject({ allowed: false, remaining: 0 })
    let users = 0
    await expect.poll(async () => {
      const bob = `bob${++users}`
      return [await one.checkWorldCooldown('w1', bob, 'free'), await two.checkWorldCooldown('w1', bob, 'free')]
    }).toMatchObject([{ allowed: true }, { allowed: false, retryAfter: 5 }])
    await expect.poll(async () => {
      const eve = `eve${++users}`
      const allowed: boolean[] = []
      for (let i = 0; i < 6; i++) for (const { checkSpamProtection } of [one, two]) allowed.push((await checkSpamProtection('w1', eve, 'Buy now!')).allowed)
      return allowed
    }).toEqual([...Array<boolean>(10).fill(true), false, false])
    expect(await command(server.port, 'DBSIZE')).toBeGreaterThan(0)
  })

  it('count in memory while Redis is away, from the first call on', async () => {
    await server.kill()
    const { checkWorldMessageLimit, trackWorldMessageUsage } = await aProcess()
    for (let i = 0; i < 50; i++) await trackWorldMessageUsage('ada')
    expect(await checkWorldMessageLimit('ada', 'free')).toMatchObject({ allowed: false, remaining: 0 })
    await server.start()
    const other = await aProcess()
    await expect.poll(() => other.checkWorldMessageLimit('ada', 'free')).toMatchObject({ allowed: false, remaining: 0 })
  })

  // The built package, as it is used.
  it.each(['answers', 'is away'])('let a script end while Redis %s', async (state) => {
    if (state === 'is away') await server.kill()
    const script = `import { checkWorldMessageLimit, trackWorldMessageUsage } from 'tollgate/presets/virtual-worlds'
      await trackWorldMessageUsage('ada')
      await new Promise((resolve) => setTimeout(resolve, 500))
      console.log((await checkWorldMessageLimit('ada', 'free')).remaining)`
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'], env: process.env })
    const [printed, [code]] = await Promise.all([text(child.stdout), once(child, 'exit')])
    expect([printed, code]).toEqual(['49\n', 0])
  })
})

it.each(['unix:///tmp/redis.sock', 'localhost:6379'])('the functions of the module count in memory where REDIS_URL is %s, and say so once', async (url) => {
  vi.stubEnv('REDIS_URL', url)
  const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
  const { checkWorldCooldown } = await aProcess()
  expect(await checkWorldCooldown('w1', 'ada', 'free')).toEqual({ allowed: true })
  expect(await checkWorldCooldown('w1', 'ada', 'free')).toMatchObject({ allowed: false })
  expect(warned.mock.calls).toEqual([[expect.stringMatching(/^REDIS_URL is set, and yet world limits count in the memory of this process only: REDIS_URL: it is not a URL of Redis/), 'TollgateWorldLimits']])
})

describe('useWorldLimits', () => {
  it('gives the module an instance of the application’s own', async () => {
    vi.stubEnv('REDIS_URL', 'redis://127.0.0.1:1')
    const limits = createWorldLimits({ locale: 'en' })
    const shared = await aProcess()
    shared.useWorldLimits(limits)
    await limits.trackWorldMessageUsage('ada')
    expect(await shared.checkWorldMessageLimit('ada', 'free')).toMatchObject({ remaining: 49 })
    expect(shared.checkWorldAgentLimit(3, 'free').error).toMatch(/world/)
    expect(() => shared.useWorldLimits(limits)).toThrow(/comes too late/)
  })

  it('refuses what comes too late, and what is none', async () => {
    vi.stubEnv('REDIS_URL', '')
    const shared = await aProcess()
    expect(() => shared.useWorldLimits({} as ReturnType<typeof createWorldLimits>)).toThrow('limits: an object is not what createWorldLimits makes; use useWorldLimits(createWorldLimits({ store }))')
    await shared.checkWorldMessageLimit('ada', 'free')
    expect(() => shared.useWorldLimits(createWorldLimits())).toThrow('useWorldLimits: comes too late: world limits are in use already; call it once, when the application starts')
  })
})
