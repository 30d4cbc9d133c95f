/** Time as the engine sees it. Tests and the demo install one of their own. */
export interface Clock {
  /** Epoch ms, an integer. */
  now(): number
  /** Calls `run` after `ms`; the result cancels it. */
  after(ms: number, run: () => void): () => void
}

export const systemClock: Clock = {
  now: () => Date.now(),
  after(ms, run) {
    const timer = setTimeout(run, ms)
    timer.unref()
    return () => clearTimeout(timer)
  },
}
