/**
 * Blocks of 64-bit words in large typed arrays: no object per subject, nothing for the garbage collector to walk.
 * An address is the index of a block's first word over all chunks. Freed blocks are kept in a list per size.
 * The largest block is a log of `MAX_LOGGED` entries and a digest: 20,002 words, half a chunk when rounded up.
 */
const CHUNK_BITS = 16
const CHUNK_WORDS = 1 << CHUNK_BITS
const CHUNK_MASK = CHUNK_WORDS - 1

export class WordPool {
  readonly #chunks: Float64Array[] = []
  readonly #free = new Map<number, number[]>()
  #next = 0

  /** Rounded up, so that blocks can be used again: exact up to 32 words, powers of two above. */
  static sizeFor(words: number): number {
    return words <= 32 ? words : 2 ** Math.ceil(Math.log2(words))
  }

  allocate(words: number): number {
    const size = WordPool.sizeFor(words)
    const reused = this.#free.get(size)?.pop()
    if (reused !== undefined) return reused
    if ((this.#next & CHUNK_MASK) + size > CHUNK_WORDS) this.#next = (this.#next | CHUNK_MASK) + 1
    const address = this.#next
    if (address >>> CHUNK_BITS === this.#chunks.length) this.#chunks.push(new Float64Array(CHUNK_WORDS))
    this.#next += size
    return address
  }

  release(address: number, words: number): void {
    const size = WordPool.sizeFor(words)
    const list = this.#free.get(size)
    if (list) list.push(address)
    else this.#free.set(size, [address])
  }

  chunk(address: number): Float64Array {
    return this.#chunks[address >>> CHUNK_BITS]!
  }

  offset(address: number): number {
    return address & CHUNK_MASK
  }
}
