import { rejects } from 'node:assert/strict'
import { describe, expect, it } from 'vitest'
import { CellKind, type Charge } from '../../decide/charge.ts'
import { MemoryStore } from '../../stores/memory/index.ts'
import type { DecideCommand, Outcome, SettleCommand, SettleOutcome } from '../../stores/store.ts'
import { differential } from './index.ts'

const RUNS = process.env.TOLLGATE_LONG ? 5000 : 200

describe('memory and the reference', () => {
  it(`agree on ${RUNS} random histories`, { timeout: 600_000 }, () => differential(() => new MemoryStore(), { runs: RUNS }))
})

/** A store with one mistake, made on the way to a good one. */
class MistakenStore extends MemoryStore {
  readonly #mistake: Mistake

  constructor(mistake: Mistake) {
    super()
    this.#mistake = mistake
  }

  override decide(command: DecideCommand): Outcome {
    const { decide } = this.#mistake
    return decide ? decide(command, (changed) => super.decide(changed)) : super.decide(command)
  }

  override settle(command: SettleCommand): SettleOutcome {
    const { settle } = this.#mistake
    return settle ? settle(command, (changed) => super.settle(changed)) : super.settle(command)
  }
}

interface Mistake {
  decide?: (command: DecideCommand, decide: (command: DecideCommand) => Outcome) => Outcome
  settle?: (command: SettleCommand, settle: (command: SettleCommand) => SettleOutcome) => SettleOutcome
}

const eachCharge = (change: (c: Charge) => Partial<Charge>): Mistake => ({
  decide: (command, decide) => decide({ ...command, charges: command.charges.map((c) => ({ ...c, ...change(c) })) }),
})

/** The clock as a store might show it that does not want to see it go back. */
function forwardOnly(): Mistake {
  let latestAt = 0
  const at = (now: number): number => (latestAt = Math.max(latestAt, now))
  return {
    decide: (command, decide) => decide({ ...command, now: at(command.now) }),
    settle: (command, settle) => settle({ ...command, now: at(command.now) }),
  }
}

const MISTAKES: Readonly<Record<string, () => Mistake>> = {
  'counts what it denies': () => ({
    decide(command, decide) {
      const outcome = structuredClone(decide(command))
      const counted = command.charges.filter(({ kind }) => kind === CellKind.fixedWindow || kind === CellKind.quota).map((c) => ({ ...c, max: Infinity }))
      if (!outcome.admitted && !outcome.stale && command.action === 'consume') decide({ ...command, charges: counted })
      return outcome
    },
  }),
  'writes when it checks': () => ({ decide: (command, decide) => decide({ ...command, action: command.action === 'check' ? 'consume' : command.action }) }),
  'lets one more pass': () => eachCharge(({ max }) => ({ max: max + 1 })),
  'has one partition': () => eachCharge(() => ({ partition: '' })),
  'has one text': () => eachCharge(({ digest }) => ({ digest: digest && 'A'.repeat(22) })),
  'has windows of a millisecond less': () => eachCharge(({ kind, windowMs }) => ({ windowMs: kind === CellKind.slidingLog || kind === CellKind.cooldown ? windowMs - 1 : windowMs })),
  'rounds the refill up to a whole token': () => eachCharge(({ kind, windowMs, refill, max }) => (kind === CellKind.tokenBucket ? { windowMs: Math.ceil(windowMs / refill), refill: 1, max } : {})),
  'ends periods late': () => eachCharge(({ kind, endAt }) => ({ endAt: kind === CellKind.quota ? endAt + 1 : endAt })),
  'holds for a millisecond less': () => ({
    decide: (command, decide) => decide({ ...command, ...(command.reservation && { reservation: { ...command.reservation, ttlMs: command.reservation.ttlMs - 1 } }) }),
  }),
  'never looks back': forwardOnly,
  'commits the estimate': () => ({
    settle(command, settle) {
      const { amounts: _, ...rest } = command
      return settle(rest)
    },
  }),
  'gives guards back on release': () => ({ settle: (command, settle) => settle({ ...command, action: command.action === 'release' ? 'undo' : command.action }) }),
  'keeps guards on undo': () => ({ settle: (command, settle) => settle({ ...command, action: command.action === 'undo' ? 'release' : command.action }) }),
  'extends from the expiry': () => ({ settle: (command, settle) => settle(command.ttlMs === undefined ? command : { ...command, ttlMs: command.ttlMs + 1 }) }),
}

describe('a store that', () => {
  for (const [name, mistake] of Object.entries(MISTAKES)) {
    it(`${name} is found out`, async () => {
      await rejects(differential(() => new MistakenStore(mistake()), { runs: 400, seed: 1, shrink: false }), /the store \(\+ actual\) and the reference \(- expected\) differ/)
    })
  }
})

it('a failure is a short history, with how to see it again', async () => {
  const error = await differential(() => new MistakenStore(eachCharge(({ kind, max }) => ({ max: kind === CellKind.cooldown ? max : max + 1 }))), { runs: 200, seed: 3 }).then(
    () => new Error('nothing was found'),
    (failure: unknown) => failure as Error,
  )
  expect(error.message).toMatch(/differential\(makeStore, \{ runs: 1, seed: 3, path: '[\d:]+' \}\)/)
  const history = error.message.split('\n\n')[1]!.split('the store (+ actual)')[0]!.trim().split('\n')
  expect(history.length).toBeLessThanOrEqual(8)
  expect(history.at(-1)).toMatch(/^(consume|reserve|check) u\d /)
  const path = /path: '([\d:]+)'/.exec(error.message)![1]!
  await rejects(differential(() => new MistakenStore(eachCharge(({ kind, max }) => ({ max: kind === CellKind.cooldown ? max : max + 1 }))), { runs: 1, seed: 3, path }), /this history fails/)
})
