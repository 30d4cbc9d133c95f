// Strings, quoted names and comments are stepped over; `$1` in them is text.
const TOKEN = /'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|\/\*[\s\S]*?\*\/|\$(\d+)/g
const MAX_KEPT = 500

export interface Positional {
  readonly text: string
  /** Which parameter each `?` is. */
  readonly order: readonly number[]
}

/** `$2, $1, $2` as `?, ?, ?` and the order 1, 0, 1: the one form of parameters that all drivers know. */
export function positional(sql: string): Positional {
  const order: number[] = []
  const text = sql.replace(TOKEN, (token, digits?: string) => {
    if (digits === undefined) return token
    order.push(Number(digits) - 1)
    return '?'
  })
  return { text, order }
}

const kept = new Map<string, Positional>()

/** Once for each text; texts that are made anew each time do not pile up. */
export function positionalOnce(sql: string): Positional {
  let found = kept.get(sql)
  if (found === undefined) {
    if (kept.size >= MAX_KEPT) kept.clear()
    kept.set(sql, (found = positional(sql)))
  }
  return found
}
