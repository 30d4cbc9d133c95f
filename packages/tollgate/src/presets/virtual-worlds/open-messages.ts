/**
 * Messages that were admitted and not yet tracked or released, because whoever tracks a message names its user only.
 * All are held equally long; they are forgotten when a message is admitted after that.
 */
export class OpenMessages {
  /** When each expires, oldest first; subjects in the order of their newest message. */
  readonly #bySubject = new Map<string, Map<string, number>>()

  add(subject: string, id: string, expiresAt: number, now: number): void {
    this.#forgetExpired(now)
    const open = this.#bySubject.get(subject) ?? new Map<string, number>()
    this.#bySubject.delete(subject)
    this.#bySubject.set(subject, open.set(id, expiresAt))
  }

  /** The newest that still holds: an older one may be of work that failed. No other caller is given the same. */
  takeNewest(subject: string, now: number): string | undefined {
    const newest = newestOf(this.#bySubject.get(subject))
    if (newest === undefined || newest.expiresAt <= now) return undefined
    this.remove(subject, newest.id)
    return newest.id
  }

  remove(subject: string, id: string): void {
    const open = this.#bySubject.get(subject)
    if (open?.delete(id) && open.size === 0) this.#bySubject.delete(subject)
  }

  #forgetExpired(now: number): void {
    for (const [subject, open] of this.#bySubject) {
      if (newestOf(open)!.expiresAt > now) return
      this.#bySubject.delete(subject)
    }
  }
}

function newestOf(open: ReadonlyMap<string, number> | undefined): { id: string; expiresAt: number } | undefined {
  const newest = [...(open ?? [])].at(-1)
  return newest && { id: newest[0], expiresAt: newest[1] }
}
