/**
 * A log in JSON: each entry as what it adds to the one before it, in time and in amount, so that ten thousand of them
 * take 60 kB. `null` for the instant of an entry that was never used: those come first.
 */
export function encodeLog(words: Float64Array): (number | null)[] {
  const stored: (number | null)[] = []
  let at = 0
  let total = 0
  for (let i = 0; i < words.length; i += 2) {
    const isUsed = words[i] !== -Infinity
    stored.push(isUsed ? words[i]! - at : null, words[i + 1]! - total)
    if (isUsed) at = words[i]!
    total = words[i + 1]!
  }
  return stored
}

export function decodeLog(stored: readonly (number | null)[]): Float64Array {
  const words = new Float64Array(stored.length)
  let at = 0
  let total = 0
  for (let i = 0; i + 1 < stored.length; i += 2) {
    const passed = stored[i]!
    if (passed !== null) at += passed
    words[i] = passed === null ? -Infinity : at
    words[i + 1] = total += stored[i + 1]!
  }
  return words
}
