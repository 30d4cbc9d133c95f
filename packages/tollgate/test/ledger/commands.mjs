const PLAN = { plan: 'crash/plus', every: 700, timezone: 'UTC', priority: -1, softLimit: 0.8, isEligible: true }
const OVERAGES = [{ policy: 'deny' }, { policy: 'clamp' }, { policy: 'overdraft', floor: -40 }]

/** What a subject asks next, which depends on what it was answered so far. */
export class Commands {
  #index
  /** Reservations that were held, whether they are still open or not. */
  #held = []
  #spent = []
  count = 0

  /** @param {number} index of the subject @param {readonly { command: any, answer?: any }[]} steps */
  constructor(index, steps) {
    this.#index = index
    for (const step of steps) this.learn(step)
  }

  learn({ command: { kind, id }, answer }) {
    this.count++
    if (!answer?.ok) return
    if (kind === 'hold') this.#held.push(id)
    if (kind === 'commit' || kind === 'release' || kind === 'cancel') this.#held = this.#held.filter((each) => each !== id)
    if (kind === 'commit' || kind === 'deduct') this.#spent.push(id)
  }

  /** @param {import('../../dist/testing/random.js').Random} random */
  next(random) {
    const name = `${this.count}`
    if (this.count === 0) return this.#allowance(100)
    const roll = random.integer(1, 100)
    if (roll <= 30) return { kind: 'hold', id: name, amount: random.integer(0, 30), ttlMs: random.pick([30, 100, 300, 1000]), operation: 'chat' }
    if (roll <= 45) return { kind: 'deduct', id: name, amount: random.integer(0, 20), operation: 'image' }
    if (roll <= 60) return { kind: 'grant', key: name, amount: random.integer(1, 60), source: 'pack', priority: random.integer(0, 2), reason: 'paid', ...(random.chance(0.5) && { expiresAt: Date.now() + random.integer(100, 2000) }) }
    if (roll <= 80 && this.#held.length > 0) return { kind: 'commit', id: random.pick(this.#held), ...(random.chance(0.7) && { amount: random.integer(0, 40) }), overage: random.pick(OVERAGES) }
    if (roll <= 88 && this.#held.length > 0) return { kind: 'release', id: random.pick(this.#held) }
    if (roll <= 95 && this.#spent.length > 0) return { kind: 'refund', key: name, id: random.pick(this.#spent), ...(random.chance(0.5) && { amount: random.integer(1, 10) }) }
    if (roll <= 97 && this.#held.length + this.#spent.length > 0) return { kind: 'cancel', id: random.pick([...this.#held, ...this.#spent]) }
    if (roll <= 98) return this.#allowance(random.integer(1, 200))
    return { kind: 'touch' }
  }

  /** Always of one plan, so that each of its periods must be granted once. */
  #allowance(amount) {
    const rule = { ...PLAN, amount, anchor: this.#index % 2 === 0 ? 'subject' : 'calendar', rolloverMax: this.#index % 3 === 0 ? 50 : 0 }
    return { kind: 'setAllowance', rule, at: 'now', proration: 'restart', leftover: 'keep' }
  }
}
