import { rejects } from 'node:assert/strict'
import { describe, expect, it } from 'vitest'
import type { AllowanceRule } from '../../ledger/account.ts'
import type { LedgerAnswer, LedgerCommand } from '../../ledger/commands.ts'
import { MemoryLedger } from '../../ledger/memory.ts'
import type { ControlledClock } from '../clock.ts'
import { compareLedgers, ledgerConformance, ledgerModel } from './index.ts'

const RUNS = process.env.TOLLGATE_LONG ? 5000 : 200

ledgerConformance('memory', (clock) => new MemoryLedger(clock), { describe, it })

describe('memory and the reference', () => {
  it(`agree on ${RUNS} random histories`, { timeout: 600_000 }, () => ledgerModel((clock) => new MemoryLedger(clock), { runs: RUNS }))
})

type Run = (command: LedgerCommand) => Promise<LedgerAnswer>

interface Mistake {
  run?: (command: LedgerCommand, run: Run) => Promise<LedgerAnswer>
  now?: (now: number) => number
}

/** A ledger with one mistake, made on the way to a good one. */
class MistakenLedger extends MemoryLedger {
  readonly #mistake: Mistake

  constructor(clock: ControlledClock, mistake: Mistake) {
    super({ now: () => mistake.now?.(clock.now()) ?? clock.now() })
    this.#mistake = mistake
  }

  override run(subject: string, command: LedgerCommand): Promise<LedgerAnswer> {
    const run: Run = (changed) => super.run(subject, changed)
    return this.#mistake.run?.(command, run) ?? run(command)
  }
}

/** Something else is asked than was. */
function changes<K extends LedgerCommand['kind']>(kind: K, change: (command: LedgerCommand & { kind: K }) => object): Mistake {
  return { run: (command, run) => run(command.kind === kind ? ({ ...command, ...change(command as LedgerCommand & { kind: K }) } as LedgerCommand) : command) }
}

function without<K extends LedgerCommand['kind']>(kind: K, field: string): Mistake {
  return {
    run: (command, run) => run(command.kind === kind ? (Object.fromEntries(Object.entries(command).filter(([name]) => name !== field)) as unknown as LedgerCommand) : command),
  }
}

const plans = (change: (rule: AllowanceRule) => Partial<AllowanceRule>): Mistake => changes('setAllowance', ({ rule }) => ({ rule: rule && { ...rule, ...change(rule) } }))

let keys = 0

const MISTAKES: Readonly<Record<string, Mistake>> = {
  'grants again when asked again': changes('grant', () => ({ key: `other ${++keys}` })),
  'knows no priorities': without('grant', 'priority'),
  'grants the future at once': without('grant', 'effectiveAt'),
  'lets nothing expire': without('grant', 'expiresAt'),
  'lets grants live a millisecond longer': changes('grant', ({ expiresAt }) => (expiresAt === undefined ? {} : { expiresAt: expiresAt + 1 })),
  'holds for a millisecond longer': changes('hold', ({ ttlMs }) => ({ ttlMs: Math.min(86_400_000, ttlMs + 1) })),
  'spends what was held, whatever was used': without('commit', 'amount'),
  'denies no overage': changes('commit', ({ overage }) => ({ overage: overage.policy === 'deny' ? { policy: 'clamp' } : overage })),
  'knows no floor': changes('commit', ({ overage }) => ({ overage: overage.policy === 'overdraft' ? { policy: 'overdraft', floor: -1000 } : overage })),
  'spends what was released': { run: (command, run) => run(command.kind === 'release' ? { kind: 'commit', id: command.id, overage: { policy: 'clamp' } } : command) },
  'refunds everything at once': without('refund', 'amount'),
  'refunds without end': {
    async run(command, run) {
      const answer = await run(command)
      if (command.kind === 'refund' && answer.refunded! > 0) await run({ kind: 'grant', amount: answer.refunded!, source: 'admin', key: `more ${++keys}` })
      return answer
    },
  },
  'takes what there is of what it denies': {
    async run(command, run) {
      const answer = await run(command)
      if (command.kind === 'deduct' && !answer.ok && answer.balance.available > 0) await run({ kind: 'deduct', id: `rest ${++keys}`, amount: answer.balance.available })
      return answer
    },
  },
  'carries nothing over': plans(() => ({ rolloverMax: 0 })),
  'knows no cap of what it carries over': plans(({ rolloverMax }) => ({ rolloverMax: rolloverMax === 0 ? 0 : 1000 })),
  'does not wait for the end of a period': changes('setAllowance', () => ({ at: 'now' })),
  'begins anew where a period should go on': changes('setAllowance', () => ({ proration: 'restart' })),
  'keeps what should go': changes('setAllowance', () => ({ leftover: 'keep' })),
  'knows no conditions': plans(() => ({ isEligible: true })),
  'has the calendar\'s periods for all': plans(() => ({ anchor: 'calendar' })),
  'warns at the half': plans(({ softLimit }) => ({ softLimit: softLimit === null ? null : 0.5 })),
  'is a millisecond late': { now: (now) => now - 1 },
  'does everything twice, and tells of the first': {
    async run(command, run) {
      const answer = await run(command)
      if (command.kind === 'deduct' && answer.ok && !answer.isReplay) await run({ ...command, id: `again ${++keys}` })
      return answer
    },
  },
}

describe('a ledger that', () => {
  for (const [name, mistake] of Object.entries(MISTAKES)) {
    it(`${name} is found out`, async () => {
      await rejects(ledgerModel((clock) => new MistakenLedger(clock, mistake), { runs: 200, seed: 1, shrink: false }), /this history fails/)
    })
  }
})

it('two ledgers that differ are told apart, by a short history, with how to see it again', async () => {
  const make = (clock: ControlledClock) => new MistakenLedger(clock, MISTAKES['keeps what should go']!)
  const error = await compareLedgers((clock) => new MemoryLedger(clock), make, { runs: 200, seed: 3 }).then(
    () => new Error('nothing was found'),
    (failure: unknown) => failure as Error,
  )
  const path = /compareLedgers\(makeOne, makeOther, \{ runs: 1, seed: 3, path: '([\d:]+)' \}\)/.exec(error.message)?.[1]
  const history = error.message.split('\n\n')[1]!.split('\n')
  expect(history.length).toBeLessThanOrEqual(8)
  expect(history.at(-1)).toMatch(/^u\d .*"leftover":"void"/)
  await rejects(compareLedgers((clock) => new MemoryLedger(clock), make, { runs: 1, seed: 3, path: path! }), /this history fails/)
})
