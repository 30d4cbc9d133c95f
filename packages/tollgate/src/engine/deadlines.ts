import type { Clock } from './clock.ts'

/** Calls that began in one turn of the event loop, at one instant: their time is over at once. */
interface Turn {
  readonly at: number
  readonly waiting: Set<() => void>
  readonly cancel: () => void
}

/** A deadline for each of many calls, with one timer for all that begin together: a timer costs more than all else that guards a call. */
export class Deadlines {
  readonly #clock: Clock
  readonly #timeoutMs: number
  #turn: Turn | undefined

  constructor(clock: Clock, timeoutMs: number) {
    this.#clock = clock
    this.#timeoutMs = timeoutMs
  }

  /** Calls `onOver` when the time is over; the result spares it that. */
  begin(onOver: () => void): () => void {
    const now = this.#clock.now()
    // A turn may be long.
    const turn = this.#turn?.at === now ? this.#turn : this.#beginTurn(now)
    turn.waiting.add(onOver)
    return () => {
      if (turn.waiting.delete(onOver) && turn.waiting.size === 0) this.#end(turn)
    }
  }

  #beginTurn(at: number): Turn {
    const waiting = new Set<() => void>()
    const cancel = this.#clock.after(this.#timeoutMs, () => {
      for (const onOver of waiting) onOver()
    })
    const turn = (this.#turn = { at, waiting, cancel })
    // It comes with the turn's end, at the latest: calls that follow have a timer of their own.
    process.nextTick(() => this.#close(turn))
    return turn
  }

  #close(turn: Turn): void {
    if (this.#turn === turn) this.#turn = undefined
  }

  /** A timer that has nobody left to tell. */
  #end(turn: Turn): void {
    this.#close(turn)
    turn.cancel()
  }
}
