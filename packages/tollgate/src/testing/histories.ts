import type { Arbitrary } from 'fast-check'

export interface HistoryOptions {
  /** Random histories to play. */
  runs: number
  /** Repeats a failure: the message of one says which. */
  seed?: number
  path?: string
  /** `false`: take the first history that fails as it is. */
  shrink?: boolean
}

/**
 * Plays random histories; one that fails is shrunk to the shortest that does. Needs the package `fast-check`.
 * @param call how to ask for it again, with the options left out: `differential(makeStore, `.
 * @throws with what `play` threw for it, which should tell that history line by line
 */
export async function playHistories<H>(histories: () => Promise<Arbitrary<H>>, call: string, { runs, seed, path, shrink = true }: HistoryOptions, play: (history: H) => Promise<void>): Promise<void> {
  // Loaded here, so that who only wants the other suites needs no further package.
  const [fc, arbitrary] = await Promise.all([import('fast-check'), histories()])
  const result = await fc.check(fc.asyncProperty(arbitrary, play), { numRuns: runs, endOnFailure: !shrink, ...(seed !== undefined && { seed }), ...(path !== undefined && { path }) })
  if (!result.failed) return
  const { errorInstance, seed: failedSeed, counterexamplePath, numShrinks } = result
  const again = `${call}{ runs: 1, seed: ${failedSeed}, path: '${counterexamplePath}' })`
  throw new Error(`after ${numShrinks} steps of shrinking, this history fails; run it again with\n  ${again}\n\n${(errorInstance as Error).message}`, { cause: errorInstance })
}
