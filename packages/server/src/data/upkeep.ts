import type { Log } from '../log/log.ts'
import { repeat } from '../repeat.ts'
import type { Storage, Stores } from './storage.ts'

/** Whoever looks at an account finds it right without this: what is due is done for those whom nobody looks at. */
const DUE_EVERY_MS = 1000
const DUE_AT_ONCE = 100
const FORGET_EVERY_MS = 60_000
const FORGET_AT_ONCE = 1000
/** Half of the time: 1,000 events a second are 60,000 a minute, which takes a few seconds. */
const FORGET_FOR_MS = 30_000

/** What happens by itself: expiry and renewal of credits, archiving, forgetting. */
export function keepUp({ ledger, forget, archive }: Stores, log: Log): { stop(): Promise<void> } {
  const stopping = new AbortController()
  const { signal } = stopping
  const archiving = async (): Promise<void> => archive?.(signal).catch((error: unknown) => {
    if (!signal.aborted) throw error
  })
  const stops = [
    repeat(() => ledger.runDue(DUE_AT_ONCE), DUE_EVERY_MS, log, 'the renewal of credits'),
    repeat(() => forgetAll(forget, signal), FORGET_EVERY_MS, log, 'forgetting what is old'),
    ...(archive ? [repeat(archiving, FORGET_EVERY_MS, log, 'archiving events')] : []),
  ]
  return {
    async stop() {
      stopping.abort()
      await Promise.all(stops.map((stop) => stop()))
    },
  }
}

/** A little at a time, so that nobody waits for it, until nothing is left, or the time is over. */
export async function forgetAll(forget: Stores['forget'], signal: AbortSignal): Promise<void> {
  const until = performance.now() + FORGET_FOR_MS
  while ((await forget(FORGET_AT_ONCE)) >= FORGET_AT_ONCE && performance.now() < until && !signal.aborted);
}

/** Longer than a healthy database takes for anything, and shorter than those who ask wait. */
const ALIVE_WITHIN_MS = 2000

/** Whether the storage answers. Everybody may ask, so those who do at one time share one question. */
export function watched(storage: Storage): () => Promise<boolean> {
  let asking: Promise<boolean> | undefined
  return () => (asking ??= answersInTime(storage).finally(() => (asking = undefined)))
}

async function answersInTime(storage: Storage): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<false>((resolve) => (timer = setTimeout(resolve, ALIVE_WITHIN_MS, false)))
  try {
    return await Promise.race([storage.isAlive(), late])
  } catch {
    return false
  } finally {
    clearTimeout(timer)
  }
}
