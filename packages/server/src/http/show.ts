/** A value of a client as it appears in a message: short, never the whole of a hostile input. */
export function show(value: string): string {
  return `'${value.length > 60 ? `${value.slice(0, 60)}…` : value}'`
}
