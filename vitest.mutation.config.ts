import { defineConfig } from 'vitest/config'
import everything from './vitest.config.ts'

/** What `npm run mutate` runs for each mutant: the tests beside the code, and the suite that holds stores to the kernel. */
export default defineConfig({
  ...everything,
  test: {
    ...everything.test,
    // None of these needs a server.
    globalSetup: [],
    include: ['packages/tollgate/src/decide/**/*.test.ts', 'packages/tollgate/src/compile/**/*.test.ts', 'packages/tollgate/src/testing/conformance/*.test.ts'],
  },
})
