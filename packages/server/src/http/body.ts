import type { Context } from 'hono'
import { TollgateError } from 'tollgate'
import { HttpError } from './problems.ts'

/**
 * The JSON object of a request; `undefined` for an empty body.
 * @throws 413, 415, or 400 MALFORMED_BODY
 */
export async function readBody(c: Context, maxBytes: number): Promise<Record<string, unknown> | undefined> {
  const bytes = await readBytes(c, maxBytes)
  if (bytes.byteLength === 0) return undefined
  assertJson(c.req.header('Content-Type'))
  const value = parse(decode(bytes))
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw malformed('the body is not an object; send a JSON object such as {"subject": "user:42"}')
  return value as Record<string, unknown>
}

async function readBytes(c: Context, maxBytes: number): Promise<Uint8Array> {
  const { raw } = c.req
  const declared = c.req.header('Content-Length')
  if (declared !== undefined && Number(declared) > maxBytes) throw tooLarge(maxBytes)
  try {
    // With a declared length the HTTP parser keeps the client to it; without one the bytes are counted as they come.
    if (declared !== undefined && c.req.header('Transfer-Encoding') === undefined) return await bounded(new Uint8Array(await raw.arrayBuffer()), maxBytes)
    return await readCounted(raw.body, maxBytes)
  } catch (error) {
    if (TollgateError.isInstance(error)) throw error
    throw new TollgateError('ABORTED', 'the body ended early', { cause: error })
  }
}

async function readCounted(body: ReadableStream<Uint8Array> | null, maxBytes: number): Promise<Uint8Array> {
  if (body === null) return new Uint8Array()
  const chunks: Uint8Array[] = []
  let size = 0
  const reader = body.getReader()
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return Buffer.concat(chunks)
    size += value.byteLength
    if (size > maxBytes) throw tooLarge(maxBytes)
    chunks.push(value)
  }
}

function bounded(bytes: Uint8Array, maxBytes: number): Uint8Array {
  if (bytes.byteLength > maxBytes) throw tooLarge(maxBytes)
  return bytes
}

/** A browser sends other types, and none, to foreign sites without asking first: what does not say JSON is not taken. */
function assertJson(contentType: string | undefined): void {
  const type = contentType?.split(';', 1)[0]?.trim().toLowerCase()
  if (type === 'application/json' || (type?.startsWith('application/') && type.endsWith('+json'))) return
  throw new HttpError(415, 'Unsupported Media Type', 'UNSUPPORTED_MEDIA_TYPE', 'Content-Type', `${type === undefined ? 'it is missing' : 'the body is not JSON by its type'}; send application/json`)
}

function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw malformed('the body is not UTF-8')
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text, knownMember)
  } catch (error) {
    if (TollgateError.isInstance(error)) throw error
    // The parser's own message quotes the body.
    throw malformed('the body is not JSON')
  }
}

/** A record would drop such a member without a word. Asked of each name as it was read: in the text it may be escaped. */
function knownMember(name: string, value: unknown): unknown {
  if (name === '__proto__') throw new TollgateError('INVALID_REQUEST', '__proto__: it is not a known field', { field: '__proto__' })
  return value
}

function malformed(message: string): TollgateError {
  return new TollgateError('MALFORMED_BODY', message)
}

function tooLarge(maxBytes: number): TollgateError {
  return new TollgateError('TOO_LARGE', `the body has more than ${maxBytes} bytes`)
}
