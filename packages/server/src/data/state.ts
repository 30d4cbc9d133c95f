/** What has to survive a restart until there is a database: the demo clock, API keys, the rollout. One small JSON file. */
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { StartupError } from '../startup-error.ts'

const storedKey = z.object({
  id: z.string(),
  namespace: z.string(),
  name: z.string().nullable(),
  scopes: z.array(z.enum(['read', 'consume', 'admin'])).min(1),
  /** SHA-256 of the secret, base64url. The secret itself is 256 random bits, so a slow hash would add nothing. */
  hash: z.string().length(43),
  createdAt: z.int(),
})

const state = z.object({
  version: z.literal(1),
  clockOffsetMs: z.int().min(0).default(0),
  keys: z.array(storedKey).default([]),
  rollouts: z.record(z.string(), z.object({ mode: z.enum(['enforce', 'shadow', 'off']), percent: z.number().min(0).max(100) })).default({}),
})

export type StoredKey = Readonly<z.infer<typeof storedKey>>
export type State = Readonly<z.infer<typeof state>>

const EMPTY: State = state.parse({ version: 1 })

/** The state, always as it is on disk: a change that could not be written has not happened. */
export interface StateFile {
  readonly current: State
  update(change: Partial<Omit<State, 'version'>>): void
}

/** For servers without a data folder: gone with the process. */
export function memoryState(): StateFile {
  let current = EMPTY
  return {
    get current() {
      return current
    },
    update(change) {
      current = { ...current, ...change }
    },
  }
}

/** @throws StartupError when the file is there and cannot be used. */
export function openState(folder: string): StateFile {
  const path = join(folder, 'state.json')
  let current = read(path)
  return {
    get current() {
      return current
    },
    // Synchronous: changes are an operator's, rare and small, and cannot overtake each other.
    update(change) {
      const next = { ...current, ...change }
      write(path, `${JSON.stringify(next, null, 2)}\n`)
      current = next
    },
  }
}

function read(path: string): State {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return EMPTY
    throw new StartupError(`${path} cannot be read (${(error as Error).message}). It holds API keys and the demo clock: make it readable for this user.`)
  }
  const parsed = state.safeParse(parse(text))
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  const where = issue?.path.length ? ` at ${issue.path.join('.')}` : ''
  throw new StartupError(`${path} is not a state file of Tollgate${where}: ${issue?.message ?? 'unknown'}. Restore it from a backup, or move it away to start afresh (API keys and the demo clock are lost then).`)
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Whole or not at all: a crash leaves the old file. Readable for this user only. */
function write(path: string, text: string): void {
  const draft = `${path}.tmp`
  const file = openSync(draft, 'w', 0o600)
  try {
    writeSync(file, text)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
  renameSync(draft, path)
}
