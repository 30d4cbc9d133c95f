import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { TollgateError } from 'tollgate'
import type { State, StateStore, StoredKey } from '../data/state.ts'

/**
 * What a key may do. `read`: look at plans, subjects and usage, and ask what would be decided. `consume`: that, and decide
 * for real and settle: its decisions tell what a reader could see anyway. `admin`: everything.
 */
export const SCOPES = ['read', 'consume', 'admin'] as const
export type Scope = (typeof SCOPES)[number]

const IMPLIED: Readonly<Record<Scope, readonly Scope[]>> = { read: ['read'], consume: ['read', 'consume'], admin: ['read', 'consume', 'admin'] }

/** Who asks, as far as a key tells. */
export interface Caller {
  /** Of the key; `operator` for the one from the environment. */
  readonly id: string
  readonly namespace: string
  readonly scopes: ReadonlySet<Scope>
  /** The key of the environment manages the keys of every namespace, any other admin key those of its own. */
  readonly isOperator: boolean
}

/** A key as it is shown: never its secret. */
export type KeyView = Omit<StoredKey, 'hash'>

/** Far more than anybody has; a bound, because every namespace has an engine of its own. */
const MAX_KEYS = 1000
const TOKEN = /^tg_([0-9a-f]{16})_([\w-]{43})$/

/** API keys: `tg_<id>_<secret>`, of which the secret's SHA-256 is kept. */
export class KeyRing {
  readonly #state: StateStore
  readonly #operatorHash: Buffer | undefined
  readonly #now: () => number

  constructor(state: StateStore, operatorKey: string | undefined, now: () => number = Date.now) {
    this.#state = state
    this.#operatorHash = operatorKey === undefined ? undefined : sha256(operatorKey)
    this.#now = now
  }

  /** Whose token it is; compared in constant time. */
  find(token: string): Caller | undefined {
    if (this.#operatorHash && timingSafeEqual(sha256(token), this.#operatorHash)) return { id: 'operator', namespace: 'default', scopes: new Set(SCOPES), isOperator: true }
    const [, id, secret] = TOKEN.exec(token) ?? []
    if (id === undefined || secret === undefined) return undefined
    const key = this.#state.current.keys.find((other) => other.id === id)
    const isRight = timingSafeEqual(sha256(secret), key ? Buffer.from(key.hash, 'base64url') : NOBODY)
    if (!key || !isRight) return undefined
    return { id, namespace: key.namespace, scopes: new Set(key.scopes.flatMap((scope) => IMPLIED[scope])), isOperator: false }
  }

  /** Whether anybody could administer this server. */
  get hasAdmin(): boolean {
    return this.#operatorHash !== undefined || this.#state.current.keys.some(({ scopes }) => scopes.includes('admin'))
  }

  list(caller: Caller): KeyView[] {
    return this.#state.current.keys.filter((key) => mayManage(caller, key.namespace)).map(viewOf)
  }

  async create(caller: Caller, { name, namespace = caller.namespace, scopes }: { name?: string | undefined; namespace?: string | undefined; scopes: readonly Scope[] }): Promise<MadeKey> {
    if (!mayManage(caller, namespace)) throw new TollgateError('FORBIDDEN', `namespace: this key manages the keys of '${caller.namespace}' only`, { field: 'namespace' })
    const { secret, hash } = newSecret()
    const key: StoredKey = { id: randomBytes(8).toString('hex'), namespace, name: name ?? null, scopes: [...new Set(scopes)], hash, createdAt: this.#now() }
    await this.#state.update(({ keys }) => {
      if (keys.length >= MAX_KEYS) throw new TollgateError('INVALID_REQUEST', `${MAX_KEYS} keys are the most; revoke some first`)
      return { keys: [...keys, key] }
    })
    return { view: viewOf(key), token: tokenOf(key.id, secret) }
  }

  /** A new secret for a key; the old one stops at once. */
  async rotate(caller: Caller, id: string): Promise<MadeKey> {
    const { secret, hash } = newSecret()
    let view: KeyView
    await this.#state.update((state) => {
      const key = managed(state, caller, id)
      view = viewOf(key)
      return { keys: state.keys.map((other) => (other === key ? { ...key, hash } : other)) }
    })
    return { view: view!, token: tokenOf(id, secret) }
  }

  async revoke(caller: Caller, id: string): Promise<void> {
    await this.#state.update((state) => {
      const key = managed(state, caller, id)
      return { keys: state.keys.filter((other) => other !== key) }
    })
  }
}

/** A key and its token, which nobody can be told again. */
export interface MadeKey {
  readonly view: KeyView
  readonly token: string
}

/** Keys of other namespaces do not exist for this caller. */
function managed({ keys }: State, caller: Caller, id: string): StoredKey {
  const key = keys.find((other) => other.id === id)
  if (key && mayManage(caller, key.namespace)) return key
  throw new TollgateError('NOT_FOUND', 'id: there is no such key', { field: 'id' })
}

const mayManage = (caller: Caller, namespace: string) => caller.isOperator || caller.namespace === namespace

const tokenOf = (id: string, secret: string) => `tg_${id}_${secret}`

const sha256 = (text: string) => createHash('sha256').update(text).digest()

/** Compared with when there is no such key, so that it takes as long. */
const NOBODY = randomBytes(32)

function newSecret(): { secret: string; hash: string } {
  const secret = randomBytes(32).toString('base64url')
  return { secret, hash: sha256(secret).toString('base64url') }
}

function viewOf({ id, namespace, name, scopes, createdAt }: StoredKey): KeyView {
  return { id, namespace, name, scopes, createdAt }
}
