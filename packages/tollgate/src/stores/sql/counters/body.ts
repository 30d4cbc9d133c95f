/** The format that this version writes. One that is newer is refused, never guessed at. */
const FORMAT = 1

export type Body = Record<string, unknown>

export function writeBody(fields: Body): string {
  return JSON.stringify({ v: FORMAT, ...fields })
}

/** @param what names the row in errors. */
export function readBody(body: string, what: string): Body {
  let fields: Body | null
  try {
    fields = JSON.parse(body) as Body | null
  } catch (cause) {
    throw damaged(what, 'it is not JSON', cause)
  }
  const format = typeof fields === 'object' && fields !== null ? fields['v'] : undefined
  if (!Number.isInteger(format) || (format as number) < 1) throw damaged(what, 'it names no format')
  if (format !== FORMAT) throw new Error(`${what} was written by a newer version of Tollgate (format ${format as number}, this one reads ${FORMAT}); upgrade this process`)
  return fields!
}

export function damaged(what: string, why: string, cause?: unknown): Error {
  return new Error(`${what} is damaged: ${why}; restore it, or erase the subject`, { cause })
}
