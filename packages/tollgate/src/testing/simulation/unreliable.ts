import type { Clock } from '../../engine/clock.ts'
import type { MaybePromise } from '../../stores/store.ts'
import type { Random } from '../random.ts'
import type { Faults } from './faulty-store.ts'

export interface Link {
  send<T>(effect: () => MaybePromise<T>, isRepeatable?: boolean): Promise<T>
  disconnect(): void
}

/** A connection in virtual time that delays, loses, fails and repeats, as the seed says. */
export function unreliable(clock: Clock, random: Random, faults: Faults, lateMs: readonly [from: number, to: number]): Link {
  let isConnected = true
  const never = new Promise<never>(() => {})
  const sleep = (ms: number): Promise<void> => (ms === 0 ? Promise.resolve() : new Promise((resolve) => clock.after(ms, resolve)))
  const trip = (): number => (random.chance(0.3) ? 0 : random.integer(0, faults.delayMs))

  return {
    async send<T>(effect: () => MaybePromise<T>, isRepeatable = false): Promise<T> {
      // Drawn at once and always, so that one call's luck does not depend on another's timing.
      const luck = { fate: random.next(), isLate: random.chance(faults.late), isRepeated: random.chance(faults.repeat), lateMs: random.integer(...lateMs), there: trip(), back: trip() }
      if (!isConnected) return never
      const { failBefore, failAfter, hang } = faults
      await sleep(luck.isLate ? luck.lateMs : luck.there)
      if (luck.fate < failBefore) throw new Error('connection refused')
      if (luck.fate < failBefore + hang / 2) return never
      const answer = await effect()
      if (isRepeatable && luck.isRepeated) void sleep(luck.lateMs).then(effect).catch(() => {})
      if (luck.fate < failBefore + hang || !isConnected) return never
      await sleep(luck.back)
      if (luck.fate < failBefore + hang + failAfter) throw new Error('connection reset')
      return isConnected ? answer : never
    },
    disconnect() {
      isConnected = false
    },
  }
}
