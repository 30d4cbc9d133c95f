/** Anchors that this process has seen, the latest ones: a hint for whoever compiles charges. */
export class SeenAnchors {
  readonly #max: number
  readonly #anchors = new Map<string, number>()

  constructor(max: number) {
    this.#max = max
  }

  get(subject: string): number | undefined {
    return this.#anchors.get(subject)
  }

  see(subject: string, anchorAt: number): void {
    this.#anchors.delete(subject)
    this.#anchors.set(subject, anchorAt)
    if (this.#anchors.size > this.#max) this.#anchors.delete(this.#anchors.keys().next().value!)
  }

  forget(subject: string): void {
    this.#anchors.delete(subject)
  }
}
