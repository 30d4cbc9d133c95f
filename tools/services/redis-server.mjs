import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { findRedis } from './find.mjs'
import { leash } from './leash.mjs'
import { freePorts } from './ports.mjs'
import { runningProcesses } from './processes.mjs'
import { command } from './resp.mjs'
import { until } from './until.mjs'

const SETTINGS = {
  bind: '127.0.0.1',
  'protected-mode': 'no',
  save: '',
  logfile: 'redis.log',
  loglevel: 'warning',
  // A rewrite runs in a process of its own, which would outlive `kill`.
  'auto-aof-rewrite-percentage': 0,
  // By default it waits seconds for more replicas to come, and for replicas to catch up before it ends.
  'repl-diskless-sync-delay': 0,
  'shutdown-timeout': 0,
}
const DURABLE = { appendonly: 'yes', appendfsync: 'always' }
const FORGETFUL = { appendonly: 'no' }
const SENTINEL_FILE = 'sentinel.conf'
const SENTINEL = { bind: '127.0.0.1', logfile: SETTINGS.logfile }

/**
 * A Redis of our own on a free port, with a folder of its own; starting again keeps both.
 * @param {{ isDurable?: boolean, isSentinel?: boolean, args?: readonly (string | number)[], port?: number }} [options]
 *   `isDurable`: what was answered survives `kill`; `isSentinel`: it keeps no data, and watches others; `args`: more of the
 *   program's arguments
 * @returns {Promise<import('./redis.d.mts').RedisServer>}
 */
export async function startRedis({ isDurable = false, isSentinel = false, args = [], port } = {}) {
  const { bin, env } = await findRedis()
  const [ownPort] = port === undefined ? await freePorts(1) : [port]
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'tollgate-redis-'))
  const remove = () => fs.rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
  const listed = (settings) => Object.entries({ port: ownPort, ...settings }).flatMap(([name, value]) => [`--${name}`, value])
  const settings = isSentinel ? [SENTINEL_FILE, '--sentinel', ...listed(SENTINEL)] : listed({ ...SETTINGS, ...(isDurable ? DURABLE : FORGETFUL) })
  // It writes there what it is told to watch.
  if (isSentinel) fs.writeFileSync(path.join(folder, SENTINEL_FILE), '')
  let server
  const start = async () => {
    server = await run(bin, [...settings, ...args], ownPort, { env: { ...process.env, ...env }, cwd: folder })
  }
  const end = async (instead) => {
    const ending = server
    server = undefined
    await ending?.stop(instead)
  }
  try {
    await start()
  } catch (error) {
    remove()
    throw error
  }
  return {
    url: `redis://127.0.0.1:${ownPort}`,
    port: ownPort,
    get isRunning() {
      return server !== undefined
    },
    start,
    kill: () => end('KILL'),
    restart: () => end().then(start),
    stop: () => end().then(remove),
  }
}

async function run(bin, args, port, options) {
  // The leash does not end by itself when its program does, so the program says first which process it is.
  const server = leash('TERM', 'sh', ['-c', 'echo $$ >&2; exec "$@"', 'redis', bin, ...args], options)
  let said = ''
  server.child.stderr.on('data', (text) => (said += text))
  const isPid = (pid) => said.includes('\n') && pid === Number.parseInt(said, 10)
  const hasEnded = () => said.includes('\n') && !runningProcesses().some(({ pid }) => isPid(pid))
  try {
    await until(`Redis answers on port ${port}`, async () => {
      const isReady = (await command(port, 'PING').catch(() => undefined)) === 'PONG'
      // Whoever took the port before us may be a Redis too.
      if (isReady && isPid(Number(/^process_id:(\d+)/m.exec(await command(port, 'INFO', 'server'))?.[1]))) return true
      if (hasEnded()) throw Object.assign(new Error('it ended'), { isFinal: true })
      return false
    })
  } catch (error) {
    await server.stop('KILL')
    const log = path.join(options.cwd, SETTINGS.logfile)
    const words = said.slice(said.indexOf('\n') + 1) + (fs.existsSync(log) ? fs.readFileSync(log, 'utf8') : '')
    throw new Error(`Redis did not start: ${error.message}\n${words}`, { cause: error })
  }
  return server
}
