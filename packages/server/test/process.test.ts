import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { settingsOf } from '../src/environment.ts'
import { createServer, serve } from '../src/index.ts'
import { eventually, jsonOf, temporaryFolder } from './helpers.ts'

const BIN = fileURLToPath(new URL('../bin/demo.mjs', import.meta.url))
if (!existsSync(new URL('../dist/index.js', import.meta.url))) throw new Error('these tests run the built server: npm run build')

interface Demo {
  child: ChildProcess
  output: () => string
  url: () => string
  exit: Promise<number | null>
}

/** Runs bin/demo.mjs as `npm start` does. */
function start(env: Record<string, string> = {}): Demo {
  const child = spawn(process.execPath, [BIN], { env: { PATH: process.env.PATH, PORT: '0', TOLLGATE_DATA_DIR: join(temporaryFolder(), 'data'), ...env } })
  onTestFinished(() => void child.kill('SIGKILL'))
  let output = ''
  child.stdout.on('data', (data) => (output += data))
  child.stderr.on('data', (data) => (output += data))
  return {
    child,
    output: () => output,
    url: () => /ready: (http:\S+)/.exec(output)?.[1] ?? '',
    exit: new Promise((resolve) => child.once('exit', (code) => resolve(code))),
  }
}

async function started(env: Record<string, string> = {}): Promise<Demo> {
  const demo = start(env)
  await eventually(() => demo.url() !== '', 15_000)
  return demo
}

/** What `serve` tells people when it refuses to start: in this process, which is many times as fast. */
async function refusalOf({ NODE_ENV, ...env }: Record<string, string>): Promise<string> {
  if (NODE_ENV !== undefined) vi.stubEnv('NODE_ENV', NODE_ENV)
  let output = ''
  const told = vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    output += String(text)
    return true
  })
  const exitCode = process.exitCode
  // Of a server that was made and then refused, what listens to signals stays: not in the process of the tests.
  const signals = (['SIGINT', 'SIGTERM'] as const).map((signal) => [signal, process.listeners(signal)] as const)
  try {
    await serve({ log: () => {}, env: { TOLLGATE_DEMO: '1', PORT: '0', TOLLGATE_DATA_DIR: join(temporaryFolder(), 'data'), ...env } })
    expect(process.exitCode).toBe(1)
    return output
  } finally {
    process.exitCode = exitCode
    told.mockRestore()
    vi.unstubAllEnvs()
    for (const [signal, before] of signals) for (const listener of process.listeners(signal)) if (!before.includes(listener)) process.off(signal, listener)
  }
}

const ask = (url: string, key: string) => fetch(`${url}/v1/plans`, { headers: { Authorization: `Bearer ${key}` } })

describe('npm start', () => {
  it('says where it is, that it is a demo, and its key', async () => {
    const { output, url } = await started()
    expect(output()).toMatch(/demo mode/)
    expect(output()).toContain('"demo-admin-key"')
    expect(output()).toMatch(/Credits, plans,\s+what quotas counted, reservations, keys, rollout and clock are kept in .*; rates and cooldowns go with the process/)
    expect((await ask(url(), 'demo-admin-key')).status).toBe(200)
  })

  it('takes the key that is set, and does not print it', async () => {
    const { output, url } = await started({ TOLLGATE_ADMIN_KEY: 'correct-horse-battery' })
    expect(output()).not.toContain('correct-horse-battery')
    // The shell puts the key in double quotes only.
    expect(output()).toContain('-H "Authorization: Bearer $TOLLGATE_ADMIN_KEY"')
    expect((await ask(url(), 'correct-horse-battery')).status).toBe(200)
    expect((await ask(url(), 'demo-admin-key')).status).toBe(401)
  })

  it('finishes what is under way, frees the folder, and ends with 0', async () => {
    const dataDir = join(temporaryFolder(), 'data')
    const { child, url, exit } = await started({ TOLLGATE_DATA_DIR: dataDir })
    const response = await fetch(`${url()}/api/chat`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ model: 'gemini-2.0-flash', messages: [{ role: 'user', content: 'word '.repeat(80) }] }),
    })
    child.kill('SIGTERM')
    expect(await response.text()).toContain('[DONE]')
    expect(await exit).toBe(0)
    expect(readdirSync(dataDir)).toEqual(['reservations.json', 'secret', 'tollgate.db'])
  })

  it.each([['SIGINT', 130], ['SIGTERM', 143]] as const)('ends at once on a second %s', async (signal, code) => {
    const { child, url, output, exit } = await started()
    const watching = await fetch(`${url()}/v1/subjects/x/events`, { headers: { Authorization: 'Bearer demo-admin-key' } })
    void watching.body!.getReader().read().catch(() => {})
    // A request that does not end keeps the server from stopping.
    const body = new ReadableStream<Uint8Array>({ start: (controller) => controller.enqueue(new TextEncoder().encode('{')) })
    fetch(`${url()}/demo/clock`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body, duplex: 'half' } as RequestInit).catch(() => {})
    await new Promise((resolve) => setTimeout(resolve, 100))
    child.kill(signal)
    await eventually(() => output().includes('Stopping'))
    child.kill(signal)
    expect(await exit).toBe(code)
  })

  it('is refused on a folder that another one uses, and takes over when that was killed', async () => {
    const TOLLGATE_DATA_DIR = join(temporaryFolder(), 'data')
    const first = await started({ TOLLGATE_DATA_DIR })
    await fetch(`${first.url()}/demo/clock`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{"advanceMs":86400000}' })
    const second = start({ TOLLGATE_DATA_DIR })
    expect(await second.exit).toBe(1)
    expect(second.output()).toContain(`in use by process ${first.child.pid}`)
    first.child.kill('SIGKILL')
    await first.exit
    const third = await started({ TOLLGATE_DATA_DIR })
    expect((await jsonOf(fetch(`${third.url()}/demo/clock`))).now).toBeGreaterThan(Date.now() + 86_000_000)
  })

  it.each([
    [{ NODE_ENV: 'production' }, 'NODE_ENV=production'],
    [{ PORT: 'eighty' }, 'PORT is not a port'],
    [{ TOLLGATE_DEMO: '0' }, 'TOLLGATE_ADMIN_KEY'],
    [{ TOLLGATE_DEMO: '0', TOLLGATE_ADMIN_KEY: 'demo-admin-key' }, 'too easy to guess'],
    [{ TOLLGATE_DEMO: 'true' }, 'use 1 '],
    [{ TOLLGATE_ADMIN_KEY: 'correct horse battery' }, 'white space'],
    [{ OPENAI_BASE_URL: 'here' }, 'OPENAI_BASE_URL'],
    [{ TOLLGATE_SECRET: 'short' }, 'secret'],
    [{ DATABASE_URL: 'mysql://user:pa55word@host/db' }, 'DATABASE_URL'],
    [{ DATABASE_URL: 'postgres://user:pa55word@127.0.0.1:1/db' }, 'user@127.0.0.1:1/db, cannot be used'],
    [{ DATABASE_URL: 'postgres://user:pa55word%@127.0.0.1:1/db' }, 'DATABASE_URL'],
  ])('does not start with %j, and says why', async (env, text) => {
    const output = await refusalOf(env as Record<string, string>)
    expect(output).toContain(text)
    expect(output).not.toMatch(/\n +at /)
    expect(output).not.toContain('pa55word')
  })

  it('ends with 1, and says how to get another port, when its own is taken', async () => {
    const taken = createTcpServer()
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void taken.close())
    const { port } = taken.address() as AddressInfo
    const { exit, output } = start({ PORT: `${port}` })
    expect(await exit).toBe(1)
    expect(output()).toContain(`Port ${port} is taken`)
    expect(output()).not.toMatch(/\n +at /)
  })
})

describe('the environment', () => {
  it.each([[undefined, true], ['true', true], ['false', false], ['TRUE', false], ['1', false], ['', false]])('CHAT_RATE_LIMITING_ENABLED=%s limits businesses: %s', (value, isLimited) => {
    const { options } = settingsOf({ TOLLGATE_DEMO: '1', CHAT_RATE_LIMITING_ENABLED: value })
    expect(options.demo).toMatchObject({ isBusinessLimited: isLimited })
  })

  it.each(['true', 'yes', 'TRUE', '2'])('TOLLGATE_DEMO=%s is no choice', (value) => {
    expect(() => settingsOf({ TOLLGATE_DEMO: value })).toThrow(/use 1 /)
  })

  it.each(['correct horse battery', ' correct-horse-battery', 'correct-horse-battery\n', 'сorrect-horse-battery'])('takes no admin key that cannot be sent: %j', async (adminKey) => {
    await expect(createServer({ adminKey })).rejects.toThrow(/white space.*TOLLGATE_ADMIN_KEY/)
  })

  it('has defaults', () => {
    expect(settingsOf({ TOLLGATE_DEMO: '1', PORT: '' })).toMatchObject({ port: 4400, hostname: '127.0.0.1', isDemo: true, isDemoKey: true, options: { dataDir: './.tollgate/', adminKey: 'demo-admin-key' } })
    expect(settingsOf({})).toMatchObject({ isDemo: false, isDemoKey: false })
    expect(settingsOf({}).options).toEqual({ dataDir: './.tollgate/' })
    expect(settingsOf({ DATABASE_URL: 'postgres://h/d', TOLLGATE_DATA_DIR: 'x' }).options).toEqual({ databaseUrl: 'postgres://h/d' })
  })
})
