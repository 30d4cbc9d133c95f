import type { TestRunner } from '../conformance/index.ts'
import { burnDown } from './burn-down.ts'
import { changingPlans } from './changing-plans.ts'
import { erasing } from './erasing.ts'
import { LedgerFixture, type LedgerScenarios, type MakeLedger } from './fixture.ts'
import { granting } from './granting.ts'
import { holding } from './holding.ts'
import { owing } from './owing.ts'
import { parallel } from './parallel.ts'
import { reading } from './reading.ts'
import { refunding } from './refunding.ts'
import { refusing } from './refusing.ts'
import { renewing } from './renewing.ts'
import { repeating } from './repeating.ts'
import { settling } from './settling.ts'
import { warning } from './warning.ts'

export type { MakeLedger } from './fixture.ts'
export { compareLedgers, ledgerModel } from './histories.ts'

const SUITES: Readonly<Record<string, LedgerScenarios>> = {
  granting, burnDown, holding, settling, refunding, owing, repeating, renewing, changingPlans, warning, reading, erasing, refusing, parallel,
}

/**
 * What every ledger of credits must do. It is asked under a controlled clock, which it uses in place of its own, and
 * closed after each scenario; scenarios use subjects of their own, so one database can serve all.
 */
export function ledgerConformance(name: string, makeLedger: MakeLedger, { describe, it }: TestRunner): void {
  describe(`${name} is a ledger`, () => {
    for (const [suite, scenarios] of Object.entries(SUITES)) {
      describe(suite, () => {
        for (const [scenario, run] of Object.entries(scenarios)) {
          it(scenario, async () => {
            const fixture = await LedgerFixture.make(makeLedger)
            try {
              await run(fixture)
              await fixture.check()
            } finally {
              await fixture.end()
            }
          })
        }
      })
    }
  })
}
