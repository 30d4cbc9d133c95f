/** The fix for a word that is none of `choices`: the nearest, else what there is. */
export function suggest(word: unknown, choices: readonly string[]): string {
  const nearest = typeof word === 'string' ? nearestOf(word, choices) : undefined
  if (nearest !== undefined) return `did you mean '${nearest}'?`
  if (choices.length === 0) return 'there are none'
  const more = choices.length > 20 ? ', …' : ''
  return `use one of ${choices.slice(0, 20).join(', ')}${more}`
}

/** The choice that is fewest letters away: at most 4 of 10, because two letters swapped, as in 'qouta', are 2 of 5. */
function nearestOf(word: string, choices: readonly string[]): string | undefined {
  // No name is longer, and the work grows with the square of the length.
  if (word.length > 64) return undefined
  let nearest: string | undefined
  let fewest = Math.round(word.length * 0.4) + 1
  for (const choice of choices) {
    const letters = editsBetween(word.toLowerCase(), choice.toLowerCase())
    if (letters >= fewest) continue
    nearest = choice
    fewest = letters
  }
  return nearest
}

/** Levenshtein's distance: how many letters to add, drop or replace. */
function editsBetween(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(replaced, row[j]! + 1, next[j - 1]! + 1))
    }
    row = next
  }
  return row[b.length]!
}
