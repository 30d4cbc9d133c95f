import { defineConfig } from 'vitest/config'

export default defineConfig({
  // The suite runs the sources: a change shows without a build in between.
  resolve: { conditions: ['tollgate-source', 'import', 'module', 'default'] },
  ssr: { resolve: { conditions: ['tollgate-source', 'import', 'module', 'default'] } },
  test: {
    include: ['packages/*/src/**/*.test.ts', 'packages/*/test/**/*.test.ts', 'tools/**/*.test.mjs'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
})
