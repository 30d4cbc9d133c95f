import type { Log } from '../log/log.ts'
import { repeat } from '../repeat.ts'
import type { Storage, Stores } from './storage.ts'

/** Whoever looks at an account finds it right without this: what is due is done for those whom nobody looks at. */
const DUE_EVERY_MS = 1000
const DUE_AT_ONCE = 100
const FORGET_EVERY_MS = 60_000
const FORGET_AT_ONCE = 1000

/** What happens to credits by itself: expiry, renewal, forgetting. */
export function keepUp({ ledger, forget }: Stores, log: Log): { stop(): Promise<void> } {
  const stops = [
    repeat(() => ledger.runDue(DUE_AT_ONCE), DUE_EVERY_MS, log, 'the renewal of credits'),
    repeat(() => forget(FORGET_AT_ONCE), FORGET_EVERY_MS, log, 'forgetting old answers'),
  ]
  return {
    async stop() {
      await Promise.all(stops.map((stop) => stop()))
    },
  }
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
