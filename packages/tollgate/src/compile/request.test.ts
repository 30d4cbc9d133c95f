import { describe, expect, it } from 'vitest'
import type { TollgateRequest } from '../engine/types.ts'
import type { Vocabulary } from './program.ts'
import { assertInteger, assertText, validateAmounts, validateRequest } from './request.ts'

const vocabulary: Vocabulary = {
  operations: new Set(['chat', 'image']),
  defaultOperation: undefined,
  dimensions: new Set(['world', 'model']),
  meters: new Set(['requests', 'tokens']),
  limits: new Set(['agents', 'daily']),
  costs: new Map(),
}
const validate = (request: object, words: Partial<Vocabulary> = {}): void => validateRequest({ subject: 's', ...request } as TollgateRequest, { ...vocabulary, ...words })

describe('a request', () => {
  it.each([
    [{}],
    [{ operation: 'chat', dimensions: { world: 'x'.repeat(256), model: undefined }, content: '', amounts: { tokens: 0, requests: undefined }, ttlMs: 1 }],
    [{ ttlMs: 86_400_000, amounts: { tokens: 2 ** 31 - 1 }, current: { agents: 3 } }],
  ])('like %j is fine', (request) => {
    expect(() => validate(request)).not.toThrow()
  })

  it.each([
    ['letters of one byte', 'x', 65_536],
    ['letters of two', 'é', 32_768],
  ])('may have content of 64 KiB, in %s, and no more', (_, letter, length) => {
    expect(() => validate({ content: letter.repeat(length) })).not.toThrow()
    const bytes = Buffer.byteLength(letter) * (length + 1)
    expect(() => validate({ content: letter.repeat(length + 1) })).toThrow(expect.objectContaining({ code: 'TOO_LARGE', field: 'content', message: `content: ${bytes} bytes are too many; use at most 65536` }))
  })

  it('may ask for any operation where none is declared', () => {
    expect(() => validate({ operation: 'anything' }, { operations: null })).not.toThrow()
  })

  it.each([
    [{ operation: '' }, 'INVALID_REQUEST', 'operation', "operation: '' is not a name; use 1 to 256 characters, no NUL and no half of a surrogate pair"],
    [{ operation: 5 }, 'INVALID_REQUEST', 'operation', 'operation: 5 is not a name'],
    [{ operation: 'chit' }, 'UNKNOWN_OPERATION', 'operation', "operation: 'chit' is not declared; did you mean 'chat'"],
    [{ dimensions: 'world' }, 'INVALID_REQUEST', 'dimensions', "dimensions: 'world' is not an object of names and values"],
    [{ dimensions: null }, 'INVALID_REQUEST', 'dimensions', 'dimensions: null is not an object'],
    [{ dimensions: ['w'] }, 'INVALID_REQUEST', 'dimensions', 'dimensions: an array is not an object'],
    [{ dimensions: { word: 'w1' } }, 'UNKNOWN_DIMENSION', 'dimensions.word', "dimensions.word: 'word' is not declared; did you mean 'world'"],
    [{ dimensions: { world: '' } }, 'INVALID_REQUEST', 'dimensions.world', 'dimensions.world: '],
    [{ dimensions: { world: 'x'.repeat(257) } }, 'INVALID_REQUEST', 'dimensions.world', 'is not a name'],
    [{ dimensions: { world: 'a\0b' } }, 'INVALID_REQUEST', 'dimensions.world', 'no NUL'],
    [{ dimensions: { world: 'a\ud800' } }, 'INVALID_REQUEST', 'dimensions.world', 'no half of a surrogate pair'],
    [{ dimensions: { world: 7 } }, 'INVALID_REQUEST', 'dimensions.world', '7 is not a name'],
    [{ content: 5 }, 'INVALID_REQUEST', 'content', 'content: 5 is not text; use a string'],
    [{ amounts: 5 }, 'INVALID_REQUEST', 'amounts', 'amounts: 5 is not an object'],
    [{ amounts: { token: 5 } }, 'UNKNOWN_METER', 'amounts.token', "did you mean 'tokens'"],
    [{ amounts: { tokens: -1 } }, 'INVALID_REQUEST', 'amounts.tokens', 'amounts.tokens: -1 is out of range; use an integer from 0 to 2147483647'],
    [{ amounts: { tokens: 2 ** 31 } }, 'INVALID_REQUEST', 'amounts.tokens', '2147483648'],
    [{ amounts: { tokens: 1.5 } }, 'INVALID_REQUEST', 'amounts.tokens', '1.5'],
    [{ amounts: { tokens: null } }, 'INVALID_REQUEST', 'amounts.tokens', 'null'],
    [{ current: 3 }, 'INVALID_REQUEST', 'current', 'current: 3 is not an object'],
    [{ current: { agent: 3 } }, 'UNKNOWN_LIMIT', 'current.agent', "did you mean 'agents'"],
    [{ ttlMs: 0 }, 'INVALID_REQUEST', 'ttlMs', 'ttlMs: 0 is out of range; use an integer from 1 to 86400000'],
    [{ ttlMs: 86_400_001 }, 'INVALID_REQUEST', 'ttlMs', '86400001'],
    [{ ttlMs: '1' }, 'INVALID_REQUEST', 'ttlMs', "'1'"],
  ])('like %j is refused', (request, code, field, message) => {
    expect(() => validate(request)).toThrow(expect.objectContaining({ code, field, message: expect.stringContaining(message) as string }))
  })
})

describe('the parts', () => {
  it('take exactly their range', () => {
    expect(() => assertInteger(3, 'x', 3, 5)).not.toThrow()
    expect(() => assertInteger(5, 'x', 3, 5)).not.toThrow()
    for (const value of [2, 6, Infinity, Number.NaN, undefined]) expect(() => assertInteger(value, 'x', 3, 5)).toThrow(/^x: /)
    expect(() => assertText('a', 'x')).not.toThrow()
    for (const value of ['', 'x'.repeat(257), '\0', undefined, {}]) expect(() => assertText(value, 'x')).toThrow(/^x: /)
    expect(() => validateAmounts(undefined, new Set())).toThrow(/^amounts: undefined/)
  })
})
