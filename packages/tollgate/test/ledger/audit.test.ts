import { expect, it } from 'vitest'
import { type Entry, type Ledger, type LedgerCommand, MemoryLedger } from '../../src/ledger/index.ts'
import { audit } from './audit.ts'
import type { Step } from './witness.mjs'

const rule = { plan: 'crash/plus', amount: 10, every: 300, timezone: 'UTC', anchor: 'calendar', priority: 0, rolloverMax: 5, softLimit: null, isEligible: true } as const
const COMMANDS: LedgerCommand[] = [
  { kind: 'setAllowance', rule, at: 'now', proration: 'restart', leftover: 'keep' },
  { kind: 'grant', key: '1', amount: 100, source: 'pack' },
  { kind: 'hold', id: '2', amount: 20, ttlMs: 60_000 },
  { kind: 'hold', id: '3', amount: 7, ttlMs: 500 },
  { kind: 'commit', id: '2', amount: 15, overage: { policy: 'deny' } },
  { kind: 'deduct', id: '5', amount: 30 },
  { kind: 'refund', key: '6', id: '5', amount: 4 },
  { kind: 'hold', id: '7', amount: 9, ttlMs: 60_000 },
  { kind: 'release', id: '7' },
  { kind: 'deduct', id: '9', amount: 8 },
  { kind: 'cancel', id: '9' },
]

async function history(): Promise<{ ledger: Ledger; steps: Step[] }> {
  let now = 0
  const ledger = new MemoryLedger({ now: () => (now += 100) })
  const steps: Step[] = []
  for (const command of COMMANDS) steps.push({ command, answer: await ledger.run('a', command) })
  return { ledger, steps }
}

/** A ledger whose entries are others than it says, from the newest to the oldest. */
const withEntries = (ledger: Ledger, change: (entries: readonly Entry[]) => Entry[]): Ledger => ({
  ...ledger,
  verify: async () => [],
  entries: async (subject, page) => ({ entries: change((await ledger.entries(subject, page)).entries), next: null }),
})

it('finds nothing where all is well', async () => {
  const { ledger, steps } = await history()
  expect(await audit(ledger, 'a', steps)).toEqual([])
})

it.each(['grant', 'spend', 'refund'])('finds a %s that was lost, and one that was doubled', async (kind) => {
  const { ledger, steps } = await history()
  const isIt = (entry: Entry) => entry.kind === kind && (entry.key === '1' || entry.key === '6' || entry.reservation === '5')
  expect(await audit(withEntries(ledger, (entries) => entries.filter((entry) => !isIt(entry))), 'a', steps)).toEqual([expect.stringMatching(/was acknowledged, 0 is in the entries/)])
  expect(await audit(withEntries(ledger, (entries) => entries.flatMap((entry) => (isIt(entry) ? [entry, entry] : [entry]))), 'a', steps)).toEqual([expect.stringMatching(/was acknowledged, (200|-60|8) is in the entries/)])
})

it.each([1, 4, 5, 6, 9, 10])('finds what nobody asked for: step %i', async (step) => {
  const { ledger, steps } = await history()
  expect(await audit(ledger, 'a', steps.toSpliced(step, 1))).toContainEqual(expect.stringMatching(/0 was acknowledged/))
})

it('finds a period that was passed over, and one that was granted twice', async () => {
  const { ledger, steps } = await history()
  const second = ({ key }: Entry) => key === 'crash/plus 300'
  expect(await audit(withEntries(ledger, (entries) => entries.filter((entry) => !second(entry))), 'a', steps)).toContainEqual(expect.stringContaining('granted after period'))
  expect(await audit(withEntries(ledger, (entries) => entries.flatMap((entry) => (second(entry) ? [entry, entry] : [entry]))), 'a', steps)).toContainEqual(expect.stringContaining('period 300 was granted after period 300'))
})

it('finds a hold that counts after its expiry, or not before', async () => {
  const { ledger, steps } = await history()
  const held = (amount: number) =>
    steps.map(({ command, answer }) => {
      const { available, reserved, ...rest } = answer!.balance
      return { command, answer: { ...answer!, balance: { ...rest, available: available - amount, reserved: reserved + amount } } }
    })
  expect(await audit(ledger, 'a', held(7))).toContainEqual(expect.stringContaining('7 is reserved, where open holds are 0'))
  expect(await audit(ledger, 'a', held(-1))).toContainEqual(expect.stringContaining('where open holds are 7'))
})

it.each([
  ['lost', (entries: readonly Entry[]) => entries.filter(({ reason }) => reason !== 'cancelled'), 'a: 9 was taken back, and -8 of it is in the entries'],
  ['doubled', (entries: readonly Entry[]) => entries.flatMap((entry) => (entry.reason === 'cancelled' ? [entry, entry] : [entry])), 'a: 9 was taken back, and 8 of it is in the entries'],
])('finds what was taken back without a word of what became of it, and was %s', async (_, change, fault) => {
  const { ledger, steps } = await history()
  const unheard = steps.with(9, { command: COMMANDS[9]!, error: 'not heard' })
  expect(await audit(ledger, 'a', unheard)).toEqual([])
  expect(await audit(withEntries(ledger, change), 'a', unheard)).toEqual([fault])
})

it('finds what was never answered', async () => {
  const { ledger, steps } = await history()
  expect(await audit(ledger, 'a', [...steps, { command: { kind: 'touch' } }])).toEqual([expect.stringContaining('never answered')])
})
