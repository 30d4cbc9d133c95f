/** What the server itself has to keep: the demo's clock and resets, API keys, the rollout. Small: in one JSON file, or one row of a database. */
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
  /** The host's time at which the demo clock was held. */
  clockHeldAt: z.int().min(0).nullable().default(null),
  /** When subjects of the demo's chat were last reset by an admin: epoch ms, the latest last. */
  chatResets: z.record(z.string(), z.int()).default({}),
  keys: z.array(storedKey).default([]),
  rollouts: z.record(z.string(), z.object({ mode: z.enum(['enforce', 'shadow', 'off']), percent: z.number().min(0).max(100) })).default({}),
})

export type StoredKey = Readonly<z.infer<typeof storedKey>>
export type State = Readonly<z.infer<typeof state>>

export const EMPTY: State = state.parse({ version: 1 })

/** What a change makes of the state as it is then. What it throws ends the change. */
export type Change = (current: State) => Partial<Omit<State, 'version'>>

/** The state, always as it was written: a change that could not be written has not happened. */
export interface StateStore {
  readonly current: State
  update(change: Change): Promise<void>
  /** Calls `listener` after each change, made here or by another process. */
  onChange(listener: (before: State, after: State) => void): void
}

/** The state of this process, and who listens to it. */
export class Current {
  readonly #listeners: ((before: State, after: State) => void)[] = []
  #state: State

  constructor(state: State) {
    this.#state = state
  }

  get state(): State {
    return this.#state
  }

  set(next: State): void {
    const before = this.#state
    this.#state = next
    for (const listener of this.#listeners) listener(before, next)
  }

  listen(listener: (before: State, after: State) => void): void {
    this.#listeners.push(listener)
  }
}

/** For servers without a data folder: gone with the process. */
export function memoryState(): StateStore {
  return stateOf(EMPTY, () => {})
}

/** @throws StartupError when the file is there and cannot be used. */
export function openState(folder: string): StateStore {
  const path = join(folder, 'state.json')
  // Synchronous: changes are an operator's, rare and small, and cannot overtake each other.
  return stateOf(read(path), (next) => write(path, `${JSON.stringify(next, null, 2)}\n`))
}

function stateOf(initial: State, save: (next: State) => void): StateStore {
  const current = new Current(initial)
  return {
    get current() {
      return current.state
    },
    async update(change) {
      const next = { ...current.state, ...change(current.state) }
      save(next)
      current.set(next)
    },
    onChange: (listener) => current.listen(listener),
  }
}

/** @throws what is wrong with the text, and where */
export function parseState(text: string): State {
  const parsed = state.safeParse(parse(text))
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  const where = issue?.path.length ? ` at ${issue.path.join('.')}` : ''
  throw new Error(`not a state of Tollgate${where}: ${issue?.message ?? 'unknown'}`)
}

function read(path: string): State {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return EMPTY
    throw new StartupError(`${path} cannot be read (${(error as Error).message}). It holds API keys and the demo clock: make it readable for this user.`)
  }
  try {
    return parseState(text)
  } catch (error) {
    throw new StartupError(`${path} is ${(error as Error).message}. Restore it from a backup, or move it away to start afresh (API keys and the demo clock are lost then).`)
  }
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
