/**
 * What Tollgate is tested with, for stores, engines and plans of your own. Works with any test runner; the model-based
 * suites (`differential`, `ledgerModel`, `compareLedgers`) need the package `fast-check`.
 */
export { chargeOf, type ChargeFacts, digestOf } from './charges.ts'
export { type ControlledClock, controlledClock } from './clock.ts'
export { type MakeStore, storeConformance, type TestRunner } from './conformance/index.ts'
export { differential, type DifferentialOptions } from './differential/index.ts'
export { type Asked, type KeptOutcome, StoreDriver } from './driver.ts'
export { type HistoryOptions } from './histories.ts'
export { compareLedgers, ledgerConformance, ledgerModel, type MakeLedger } from './ledger/index.ts'
export { Random } from './random.ts'
export { ReferenceStore } from './reference/store.ts'
export { audit, type AuditEvent, type AuditFinding, type AuditHistory, type DecisionEvent, type SettlementEvent } from './auditor.ts'
export { type Faults, type FaultyStore, faultyStore, NO_FAULTS } from './simulation/faulty-store.ts'
export { simulate, type SimulationOptions, type SimulationResult } from './simulation/simulator.ts'
