import { describe, it } from 'vitest'
import { MemoryLedger } from '../../ledger/memory.ts'
import { ledgerConformance } from './index.ts'

ledgerConformance('memory', (clock) => new MemoryLedger(clock), { describe, it })
