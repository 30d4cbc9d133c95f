import { Fixture, type MakeStore, type Scenarios } from './fixture.ts'
import { givingBack } from './giving-back.ts'
import { holds } from './holds.ts'
import { isolation } from './isolation.ts'
import { parallel } from './parallel.ts'
import { quotas } from './quotas.ts'
import { settling } from './settling.ts'
import { time } from './time.ts'
import { windows } from './windows.ts'

export type { MakeStore } from './fixture.ts'

/** What the suite needs of a test runner: Vitest, Jest, Mocha and node:test have it. */
export interface TestRunner {
  describe(name: string, define: () => void): unknown
  it(name: string, test: () => Promise<void>): unknown
}

const SUITES: Readonly<Record<string, Scenarios>> = { windows, quotas, holds, settling, givingBack, isolation, time, parallel }

/**
 * What every counter store must do. The store is asked under a controlled clock, which it uses in place of its own,
 * and closed after each scenario; scenarios use subjects of their own, so one database can serve all.
 */
export function storeConformance(name: string, makeStore: MakeStore, { describe, it }: TestRunner): void {
  describe(`${name} is a counter store`, () => {
    for (const [suite, scenarios] of Object.entries(SUITES)) {
      describe(suite, () => {
        for (const [scenario, run] of Object.entries(scenarios)) {
          it(scenario, async () => {
            const fixture = await Fixture.make(makeStore)
            try {
              await run(fixture)
            } finally {
              await fixture.driver.store.close()
            }
          })
        }
      })
    }
  })
}
