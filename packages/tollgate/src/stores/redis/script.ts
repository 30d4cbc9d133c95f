/** A Lua script, and the name by which Redis knows it once it has seen it. */
export interface Script {
  /** SHA-1 of the text, in hexadecimal. */
  readonly sha: string
  readonly text: string
}
