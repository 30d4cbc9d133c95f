/** Rows of 32-bit integers that grow by chunks, so that growth never copies; freed rows are used again. */
const CHUNK_BITS = 14
const CHUNK_ROWS = 1 << CHUNK_BITS
const CHUNK_MASK = CHUNK_ROWS - 1

export class IntTable {
  readonly #width: number
  readonly #chunks: Int32Array[] = []
  readonly #free: number[] = []
  #next = 0

  constructor(width: number) {
    this.#width = width
  }

  get size(): number {
    return this.#next - this.#free.length
  }

  add(): number {
    const reused = this.#free.pop()
    if (reused !== undefined) return reused
    const row = this.#next++
    if (row >>> CHUNK_BITS === this.#chunks.length) this.#chunks.push(new Int32Array(CHUNK_ROWS * this.#width))
    return row
  }

  remove(row: number): void {
    this.#free.push(row)
  }

  get(row: number, column: number): number {
    return this.#chunks[row >>> CHUNK_BITS]![(row & CHUNK_MASK) * this.#width + column]!
  }

  set(row: number, column: number, value: number): void {
    this.#chunks[row >>> CHUNK_BITS]![(row & CHUNK_MASK) * this.#width + column] = value
  }
}
