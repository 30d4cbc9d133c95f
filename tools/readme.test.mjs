// What the README shows is run: its TypeScript blocks as modules, its curl lines against a server started for them.
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { format } from 'node:util'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { redisUrl } from '../packages/tollgate/src/testing/redis-servers.ts'
import { leash } from './services/leash.mjs'
import { freePorts } from './services/ports.mjs'

const root = path.resolve(import.meta.dirname, '..')
const readme = readFileSync(path.join(root, 'README.md'), 'utf8')
const blocks = (language) => [...readme.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, 'gms'))].map((match) => match[1])
/** Lines `… // → text` say what a line prints. */
const promises = (block, sign) => [...block.matchAll(new RegExp(`${sign} → (.*)$`, 'gm'))].map((match) => match[1])

describe('README: TypeScript', () => {
  const folder = path.join(root, '.readme')
  // Blocks keep their files where they are run.
  beforeAll(async () => {
    vi.stubEnv('REDIS_URL', await redisUrl())
    mkdirSync(folder, { recursive: true })
    process.chdir(folder)
  })
  afterAll(() => {
    vi.unstubAllEnvs()
    process.chdir(root)
    rmSync(folder, { recursive: true, force: true })
  })

  it.each(blocks('ts').map((block, i) => [i + 1, block]))('block %i prints what it says', async (i, block) => {
    const file = path.join(folder, `block-${i}.ts`)
    writeFileSync(file, block)
    const printed = []
    const log = vi.spyOn(console, 'log').mockImplementation((...values) => printed.push(format(...values)))
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => {})
    await import(file).finally(() => [log, warn].forEach((spy) => spy.mockRestore()))
    expect(printed).toEqual(promises(block, '//'))
    expect(printed).not.toEqual([])
  })
})

describe('README: curl', () => {
  it('answers what it says', async () => {
    const [port] = await freePorts(1)
    const data = mkdtempSync(path.join(tmpdir(), 'tollgate-readme-'))
    const env = { ...process.env, REDIS_URL: '', DATABASE_URL: '', PORT: String(port), TOLLGATE_DATA_DIR: data }
    const server = leash('TERM', process.execPath, [path.join(root, 'packages/server/bin/demo.mjs')], { env })
    server.child.stderr.resume()
    try {
      await expect.poll(() => fetch(`http://localhost:${port}/readyz`).then((r) => r.status, () => 0), { timeout: 20_000 }).toBe(200)
      for (const block of blocks('sh')) {
        const commands = block.split('\n').filter((line) => line.startsWith('curl'))
        const answers = promises(block, '#')
        expect(commands).toHaveLength(answers.length)
        for (const [i, command] of commands.entries()) {
          expect(execFileSync('sh', ['-c', command.replaceAll(':4400', `:${port}`)], { encoding: 'utf8' })).toContain(answers[i])
        }
      }
    } finally {
      await server.stop()
      rmSync(data, { recursive: true, force: true })
    }
  })
})
