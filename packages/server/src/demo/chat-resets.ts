import type { Clock } from 'tollgate'
import type { StateStore } from '../data/state.ts'
import type { SubjectWatcher } from '../tenants.ts'

/** More than anybody resets in a month of a demo. The oldest goes first, and with it only a date on a page. */
const MAX_RESETS = 1000

/** When an admin last reset the messages of the chat's users; kept, so that the date outlives the process. */
export class ChatResets implements SubjectWatcher {
  readonly #state: StateStore
  readonly #clock: Clock

  constructor(state: StateStore, clock: Clock) {
    this.#state = state
    this.#clock = clock
  }

  /** The begin of the month, or a later reset: epoch ms. */
  lastOf(subject: string): number {
    const { chatResets } = this.#state.current
    const resetAt = Object.hasOwn(chatResets, subject) ? chatResets[subject]! : 0
    return Math.max(monthStartOf(this.#clock.now()), resetAt)
  }

  async reset(subject: string): Promise<void> {
    if (!isOfChat(subject)) return
    const now = this.#clock.now()
    await this.#state.update(({ chatResets }) => {
      const others = Object.entries(chatResets).filter(([name, at]) => name !== subject && at >= monthStartOf(now))
      return { chatResets: Object.fromEntries([...others.slice(1 - MAX_RESETS), [subject, now]]) }
    })
  }

  async erased(subject: string): Promise<void> {
    if (!isOfChat(subject)) return
    await this.#state.update(({ chatResets }) => ({ chatResets: Object.fromEntries(Object.entries(chatResets).filter(([name]) => name !== subject)) }))
  }
}

const isOfChat = (subject: string) => subject.startsWith('chat:')

function monthStartOf(at: number): number {
  const date = new Date(at)
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), 1)
}
