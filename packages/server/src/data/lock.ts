/** One process at a time per data folder: two would each keep counters of their own, and overwrite each other's state. */
import { randomUUID } from 'node:crypto'
import { linkSync, readFileSync, rmSync, unlinkSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { StartupError } from '../startup-error.ts'

interface Owner {
  pid: number
  host: string
  /** Tells a process from a later one of the same number. `null` where the system does not say. */
  startedAs: string | null
  token: string
}

/** Several processes may start at once; each round one of them gets further. */
const MAX_ATTEMPTS = 20
const PAUSE_MS = 20

/**
 * Locks the folder until the result is called. A lock whose process is gone is taken over.
 * @throws StartupError when another process holds it.
 */
export function lockFolder(folder: string): () => void {
  const path = join(folder, 'lock')
  const own: Owner = { pid: process.pid, host: hostname(), startedAs: startOf(process.pid), token: randomUUID() }
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    if (create(path, own)) return () => release(path, own)
    const holder = read(path)
    if (holder === undefined) continue
    if (isAlive(holder)) throw inUse(folder, path, holder)
    takeOver(path, holder, own)
  }
  throw new StartupError(`The data folder ${folder} could not be locked: others keep starting on it. Remove ${path} if no Tollgate runs there.`)
}

/** A link appears whole or not at all, so nobody reads half a lock. */
function create(path: string, own: Owner): boolean {
  const draft = `${path}.${own.token}`
  writeFileSync(draft, JSON.stringify(own), { mode: 0o600 })
  try {
    linkSync(draft, path)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  } finally {
    unlinkSync(draft)
  }
}

/** Removes a dead process's lock. Whoever does so holds a marker of that very lock meanwhile, so that nobody removes the lock that comes after it. */
function takeOver(path: string, holder: Owner, own: Owner): void {
  const marker = `${path}.after-${holder.token}`
  if (!create(marker, own)) {
    const other = read(marker)
    if (other && !isAlive(other)) rmSync(marker, { force: true })
    else pause()
    return
  }
  if (read(path)?.token === holder.token) rmSync(path, { force: true })
  rmSync(marker, { force: true })
}

/** Start-up is synchronous: nothing runs beside it that a pause could hold up. */
function pause(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE_MS)
}

function release(path: string, own: Owner): void {
  if (read(path)?.token === own.token) rmSync(path, { force: true })
}

/** `undefined` when it is gone. What is not a lock of ours counts as one of a dead process. */
function read(path: string): Owner | undefined {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  try {
    const owner = JSON.parse(text) as Owner
    if (Number.isInteger(owner.pid) && owner.pid > 0 && typeof owner.token === 'string' && /^[\w-]+$/.test(owner.token)) return owner
  } catch {
    // Below.
  }
  return { pid: 0, host: hostname(), startedAs: null, token: 'unreadable' }
}

function isAlive({ pid, host, startedAs }: Owner): boolean {
  // Another machine's processes cannot be seen from here.
  if (host !== hostname()) return true
  if (pid === 0) return false
  try {
    process.kill(pid, 0)
  } catch (error) {
    // EPERM: it is there, and somebody else's.
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false
  }
  const current = startOf(pid)
  return startedAs === null || current === null || startedAs === current
}

/** On Linux: which boot, and when in it the process started. */
function startOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The command's name, in parentheses, may hold spaces: fields are counted after it.
    const ticks = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
    return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()}:${ticks}`
  } catch {
    return null
  }
}

function inUse(folder: string, path: string, { pid, host }: Owner): StartupError {
  const who = host === hostname() ? `process ${pid}` : `process ${pid} on ${host}`
  const fix = host === hostname() ? 'Stop it' : `Stop it (or remove ${path} if that machine is gone)`
  return new StartupError(`The data folder ${folder} is in use by ${who}. ${fix}, or give this one a folder of its own with TOLLGATE_DATA_DIR.`)
}
