/** A Lua script, and the name by which Redis knows it once it has seen it. */
export interface Script<Keys extends readonly string[] = readonly string[], Args extends readonly string[] = readonly string[]> {
  /** SHA-1 of the text, in hexadecimal. */
  readonly sha: string
  readonly text: string
  /** What it takes: known to the compiler alone. */
  readonly takes?: readonly [keys: Keys, args: Args]
}
