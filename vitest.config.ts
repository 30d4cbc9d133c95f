import { defineConfig } from 'vitest/config'

export default defineConfig({
  // The suite runs the sources: a change shows without a build in between.
  // Only what Node does not add by itself: it would give `import` to CommonJS packages that `require` too.
  resolve: { conditions: ['tollgate-source', 'module'] },
  ssr: { resolve: { conditions: ['tollgate-source', 'module'] } },
  test: {
    include: ['packages/*/src/**/*.test.ts', 'packages/*/test/**/*.test.ts', 'tools/**/*.test.mjs'],
    globalSetup: ['tools/global-setup.mjs'],
    setupFiles: ['tools/property-seed.mjs'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // A busy machine is slow, not wrong.
    expect: { poll: { timeout: 20_000 } },
  },
})
