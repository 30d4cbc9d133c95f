/** Programs that open tables take such a text for a formula, and run it. */
const FORMULA = /^[=+\-@\t\r\n]/

/**
 * Rows as CSV (RFC 4180), with a line of names first. Members of objects get columns of their own, such as
 * `amounts.tokens`. A text that a table program would run as a formula gets an apostrophe in front.
 */
export function toCsv(rows: readonly object[]): string {
  const flat = rows.map((row) => new Map(cellsOf(row)))
  const columns = [...new Set(flat.flatMap((row) => [...row.keys()]))]
  if (columns.length === 0) return ''
  return [columns, ...flat.map((row) => columns.map((column) => row.get(column)))].map((line) => `${line.map(csvField).join(',')}\r\n`).join('')
}

function cellsOf(row: object, before = ''): [string, unknown][] {
  return Object.entries(row).flatMap(([name, value]) => (typeof value === 'object' && value !== null ? cellsOf(value as object, `${before}${name}.`) : [[before + name, value]]))
}

/** One value of a line. */
export function csvField(value: unknown): string {
  if (value === null || value === undefined) return ''
  // A number below zero begins with a minus, and is no formula.
  if (typeof value !== 'string') return String(value)
  const safe = FORMULA.test(value) ? `'${value}` : value
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}
