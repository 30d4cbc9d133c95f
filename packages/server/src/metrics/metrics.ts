import type { EngineEvents } from 'tollgate'
import { type Counter, type Histogram, Registry } from './registry.ts'

/** Most decisions take well under a millisecond, a streamed answer seconds. */
const LATENCY_SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

/**
 * What the server tells about itself. Every label has few values: plans, limits and codes are those of the plan sets,
 * routes those that are registered. Subjects and namespaces are no labels: they have no bound, and /metrics has no key.
 */
export class Metrics {
  readonly #registry = new Registry()
  readonly #decisions: Counter
  readonly #settlements: Counter
  readonly #latency: Histogram
  #inFlight = 0
  #streams = 0

  constructor() {
    this.#decisions = this.#registry.counter('tollgate_decisions_total', 'Decisions, with the limit and code that lead a denial.', ['action', 'outcome', 'plan', 'limit', 'code'])
    this.#settlements = this.#registry.counter('tollgate_settlements_total', 'Reservations by what became of them.', ['status', 'late'])
    this.#latency = this.#registry.histogram('tollgate_http_request_duration_seconds', 'Time to the first byte of the answer.', ['method', 'route', 'status'], LATENCY_SECONDS)
    this.#registry.gauge('tollgate_http_requests_in_flight', 'Requests whose answer has not ended.', () => this.#inFlight)
    this.#registry.gauge('tollgate_event_streams', 'Open streams of /v1/subjects/{subject}/events.', () => this.#streams)
  }

  decided({ action, decision: { allowed, mode, plan, violations } }: EngineEvents['decision']): void {
    const leading = violations[0]
    const outcome = allowed ? (leading ? 'would-deny' : mode === 'off' ? 'off' : 'allowed') : 'denied'
    this.#decisions.add([action, outcome, plan, leading?.limit ?? '', leading?.code ?? ''])
  }

  settled({ settlement: { status, late } }: EngineEvents['settled']): void {
    this.#settlements.add([status === 'open' ? 'extended' : status, String(late)])
  }

  answered(method: string, route: string, status: number, seconds: number): void {
    this.#latency.observe([method, route, String(status)], seconds)
  }

  /** A request began; the result is called when its answer has ended. */
  begin(): () => void {
    this.#inFlight++
    return () => void this.#inFlight--
  }

  streamOpened(): () => void {
    this.#streams++
    return () => void this.#streams--
  }

  text(): string {
    return this.#registry.text()
  }
}
