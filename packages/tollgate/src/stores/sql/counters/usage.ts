import type { Charge } from '../../../decide/charge.ts'
import { examine } from '../../../decide/kernel.ts'
import type { UsageCommand, UsageEntry } from '../../store.ts'
import type { KeptCell } from './cell.ts'
import { OpenCell } from './open-cell.ts'
import type { CounterRows } from './rows.ts'

export function usage(rows: CounterRows, { subject, limits }: UsageCommand): UsageEntry[] {
  const own = rows.of(subject)
  return limits.flatMap(({ charge, isPartitioned }, limit): UsageEntry[] => {
    if (!isPartitioned) return [look(rows, limit, charge, own.cell(charge))]
    const best = new Map<string, UsageEntry>()
    for (const cell of own.partitions(charge)) {
      const found = look(rows, limit, charge, cell)
      if (found.verdict.used > (best.get(cell.partition)?.verdict.used ?? 0)) best.set(cell.partition, found)
    }
    return [...best.values()]
  })
}

function look({ at }: CounterRows, limit: number, charge: Charge, kept: KeptCell): UsageEntry {
  const open = new OpenCell(kept)
  open.repair(charge, at)
  const verdict = { passes: false, used: 0, resetAt: 0, retryAt: 0 }
  examine(charge, open.cell, open.holds, at, verdict)
  return { limit, partition: kept.partition, verdict }
}
