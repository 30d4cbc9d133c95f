import type { LedgerAnswer, LedgerCommand } from '../../src/ledger/commands.ts'

/** One without answer and error was not acknowledged. */
export interface Step {
  readonly command: LedgerCommand
  readonly answer?: LedgerAnswer
  readonly error?: string
}

/** Each subject's steps, in order. */
export function stepsOf(path: string): Map<string, Step[]>
