import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { findPostgres } from './find.mjs'
import { leash } from './leash.mjs'
import { freePorts } from './ports.mjs'
import { runningProcesses } from './processes.mjs'

const NOBODY = 65534
const GONE_TIMEOUT_MS = 10_000
const SETTINGS = { listen_addresses: '127.0.0.1', unix_socket_directories: '', max_connections: 200, shared_buffers: '32MB' }
/** Before it repairs, it makes sure that all files are on the disk: one by one takes a second or two, where it can be at once. */
const DURABLE = process.platform === 'linux' ? { recovery_init_sync_method: 'syncfs' } : {}
/** What makes commits durable costs most of the time of a test, and its data folder is thrown away. */
const FORGETFUL = { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' }

/**
 * A PostgreSQL of our own on a free port, with a data folder of its own; starting again keeps both.
 * @param {{ isDurable?: boolean }} [options] `isDurable`: commits survive `kill`
 * @returns {Promise<import('./postgres.d.mts').PostgresServer>}
 */
export async function startPostgres({ isDurable = false } = {}) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'tollgate-postgres-'))
  const remove = () => fs.rmSync(folder, { recursive: true, force: true })
  try {
    const [native, options] = prepare(folder)
    const data = makeData(folder, native, options)
    const [port] = await freePorts(1)
    const start = () => run(native, data, port, { ...SETTINGS, ...(isDurable ? DURABLE : FORGETFUL) }, options)
    let server = await start()
    return {
      url: `postgres://postgres@127.0.0.1:${port}/postgres`,
      restart: async () => {
        await server.stop()
        server = await start()
      },
      kill: async () => {
        await killAll(data)
        await server.stop()
      },
      start: async () => {
        server = await start()
      },
      stop: async () => {
        await server.stop()
        remove()
      },
    }
  } catch (error) {
    remove()
    throw error
  }
}

/** PostgreSQL does not run as root: then it runs as nobody, who may not be let into a home folder with node_modules. */
function prepare(folder) {
  const found = findPostgres()
  const env = { PATH: process.env.PATH, LC_ALL: 'C', TZ: 'UTC' }
  if (process.getuid?.() !== 0) return [found, { env, cwd: folder }]
  fs.chmodSync(folder, 0o755)
  const options = { env, cwd: folder, uid: NOBODY, gid: NOBODY }
  const { status } = spawnSync(path.join(found, 'bin/postgres'), ['--version'], options)
  if (status === 0) return [found, options]
  const copy = path.join(folder, 'native')
  fs.cpSync(found, copy, { recursive: true, verbatimSymlinks: true })
  return [copy, options]
}

function makeData(folder, native, options) {
  const data = path.join(folder, 'data')
  fs.mkdirSync(data, { mode: 0o700 })
  if (options.uid !== undefined) fs.chownSync(data, options.uid, options.gid)
  const { status, error, stderr } = spawnSync(path.join(native, 'bin/initdb'), ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync', '--no-instructions'], { ...options, encoding: 'utf8' })
  if (status !== 0) throw new Error(`initdb: ${error ?? stderr}`)
  return data
}

async function run(native, data, port, values, options) {
  const settings = Object.entries(values).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  // SIGTERM would wait for clients to leave.
  const server = leash('INT', path.join(native, 'bin/postgres'), ['-D', data, '-p', port, ...settings], options)
  let log = ''
  await new Promise((resolve, reject) => {
    server.child.stderr.on('data', (text) => {
      if (log === undefined) return
      log += text
      if (!log.includes('ready to accept connections')) return
      log = undefined
      resolve(undefined)
    })
    server.child.once('exit', (code) => reject(new Error(`postgres ended with ${code}:\n${log}`)))
  })
  return server
}

/**
 * The server and all its processes at once, as the kernel would. It is stopped first, so that no process of it is born
 * between counting and killing; one that was left would finish its commit, and the next server would refuse the folder.
 */
async function killAll(data) {
  const server = Number(fs.readFileSync(path.join(data, 'postmaster.pid'), 'utf8').split('\n', 1)[0])
  process.kill(server, 'SIGSTOP')
  const pids = [server, ...runningProcesses().flatMap(({ pid, parent }) => (parent === server ? [pid] : []))]
  for (const pid of pids) process.kill(pid, 'SIGKILL')
  const left = () => runningProcesses().filter(({ pid }) => pids.includes(pid))
  for (const deadline = Date.now() + GONE_TIMEOUT_MS; left().length > 0; ) {
    if (Date.now() > deadline) throw new Error(`processes of PostgreSQL outlive it: ${pids.join(', ')}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
