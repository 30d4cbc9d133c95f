import { type Clock, type CommonOptions, createTollgate, type Decision, type PlanSet, type ReceiptStore, type Rollout, type Tollgate, type Usage } from 'tollgate'
import type { Analytics } from 'tollgate/sqlite'
import type { Remembered } from './http/idempotency.ts'
import type { State, StateStore } from './data/state.ts'
import type { Stores } from './data/storage.ts'
import { EventHub } from './events/hub.ts'
import { type Log } from './log/log.ts'
import { logDenial } from './log/denials.ts'
import type { Metrics } from './metrics/metrics.ts'

/** A namespace at work: an engine of its own, so that nothing of two namespaces can meet. */
export interface Tenant {
  readonly namespace: string
  readonly tollgate: Tollgate
  /** Answers to requests with an `Idempotency-Key`. */
  readonly receipts: ReceiptStore<Remembered>
  readonly hub: EventHub
  readonly watchers: Set<SubjectWatcher>
  readonly clock: Clock
  /** None where nothing is recorded. */
  readonly analytics?: Analytics
}

/** Told of what operators do to subjects, and of which the engine tells nobody. */
export interface SubjectWatcher {
  /** What it used is forgotten: of one limit, or of all. */
  reset(subject: string, limit: string | undefined): void | Promise<void>
  erased(subject: string): void | Promise<void>
}

export interface TenantOptions {
  readonly planSets: readonly PlanSet[]
  readonly engine: (namespace: string) => CommonOptions
  readonly clock: Clock
  readonly secret: string
  readonly state: StateStore
  readonly stores: Stores
  readonly metrics: Metrics
  readonly log: Log
}

/** One engine per namespace, made when its first key is used. */
export class Tenants {
  readonly #options: TenantOptions
  readonly #byName = new Map<string, Tenant>()

  constructor(options: TenantOptions) {
    this.#options = options
    options.state.onChange((before, after) => this.#follow(before, after))
  }

  of(namespace: string): Tenant {
    let tenant = this.#byName.get(namespace)
    if (!tenant) this.#byName.set(namespace, (tenant = this.#create(namespace)))
    return tenant
  }

  /** Takes effect at once, and outlives a restart: limits that an operator switched off stay off. */
  async setRollout({ namespace }: Tenant, rollout: Rollout): Promise<void> {
    await this.#options.state.update(({ rollouts }) => ({ rollouts: { ...rollouts, [namespace]: rollout } }))
  }

  endStreams(): void {
    for (const { hub } of this.#byName.values()) hub.close()
  }

  async close(): Promise<void> {
    await Promise.all([...this.#byName.values()].map(({ tollgate }) => tollgate.close()))
  }

  /** What this process, or another, has changed. */
  #follow(before: State, after: State): void {
    for (const { namespace, tollgate } of this.#byName.values()) {
      const rollout = rolloutOf(after, namespace)
      if (rollout && rollout !== rolloutOf(before, namespace)) tollgate.setRollout(rollout)
    }
    // A key that stops, or has another secret, must not go on watching.
    const hashes = new Map(after.keys.map(({ id, hash }) => [id, hash]))
    for (const { id, hash } of before.keys) if (hashes.get(id) !== hash) for (const { hub } of this.#byName.values()) hub.endOf(id)
  }

  #create(namespace: string): Tenant {
    const { planSets, engine, clock, secret, state, stores, metrics, log } = this.#options
    const rollout = rolloutOf(state.current, namespace)
    const { receipts, analytics, ...kept } = stores.of(namespace)
    const tollgate = createTollgate({ clock, secret, ledger: stores.ledger, ...kept, receipts: KEPT_ELSEWHERE, ...(rollout && { rollout }), ...engine(namespace), planSets, namespace })
    tollgate.on('decision', (event) => {
      metrics.decided(event)
      logDenial(log, namespace, event)
    })
    tollgate.on('settled', (event) => metrics.settled(event))
    // Every decision of an outage would be a line: at most one a second is.
    let [loggedAt, unlogged] = [-Infinity, 0]
    tollgate.on('degraded', ({ error, policy }) => {
      unlogged++
      if (performance.now() - loggedAt < LOG_OUTAGE_EVERY_MS) return
      log({ level: 'error', event: 'degraded', message: `the store failed, policy '${policy}' decided`, namespace, decisions: unlogged, error: String(error) })
      loggedAt = performance.now()
      unlogged = 0
    })
    tollgate.on('recovered', ({ awayMs }) => log({ level: 'info', event: 'recovered', message: `the store answers again, after ${awayMs} ms`, namespace }))
    tollgate.on('unreplayed', ({ reason, lost }) => log({ level: 'error', event: 'unreplayed', message: `use of ${lost} quotas that was admitted without the store could not be added to it (${reason}); the record has it`, namespace }))
    tollgate.on('unrecorded', ({ error, waiting, lost }) => log({ level: 'error', event: 'unrecorded', message: `usage could not be recorded: ${waiting} events wait, ${lost} are lost`, namespace, error: String(error) }))
    return { namespace, tollgate, receipts, hub: new EventHub(tollgate, metrics), watchers: new Set(), clock, ...(analytics && { analytics }) }
  }
}

const LOG_OUTAGE_EVERY_MS = 1000

function rolloutOf({ rollouts }: State, namespace: string): Rollout | undefined {
  return Object.hasOwn(rollouts, namespace) ? rollouts[namespace] : undefined
}

/** Answers are remembered as they were sent, headers and all: by the router. */
const KEPT_ELSEWHERE: ReceiptStore<Decision> = { once: async (_key, _fingerprint, run) => ({ answer: await run(), isReplay: false }) }

/** An operator's reset of one limit, or of all. */
export async function resetSubject({ tollgate, watchers, hub }: Tenant, subject: string, limit?: string): Promise<Usage> {
  const usage = await tollgate.reset(subject, limit === undefined ? {} : { limit })
  for (const watcher of watchers) await watcher.reset(subject, limit)
  hub.touch(subject)
  return usage
}

/** Streams end: what waits in them is of the subject, and there is no more to tell. */
export async function eraseSubject({ tollgate, receipts, watchers, hub }: Tenant, subject: string): Promise<void> {
  await tollgate.erase(subject)
  await receipts.erase?.(subject)
  for (const watcher of watchers) await watcher.erased(subject)
  hub.end(subject)
}
