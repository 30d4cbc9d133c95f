import { describe, expect, test } from 'vitest'

import { createDigester } from './digest.ts'

const digest = createDigester('a secret of more than 16 bytes')

describe('a digest', () => {
  test('is 22 characters of base64url, and stays what it is from version to version', () => {
    expect(digest('Hello, order 15!')).toBe('siQiNnJQb-hECx5zqATVLO')
    expect(digest('')).toMatch(/^[\w-]{22}$/)
  })

  test('is one for texts that say the same, another for texts that do not', () => {
    expect(digest('hеllо  order 15')).toBe(digest('Hello, order 15!'))
    expect(digest('Hello, order 16!')).not.toBe(digest('Hello, order 15!'))
  })

  test('depends on the secret, as text or as bytes', () => {
    expect(createDigester('another secret of 16 bytes')('Hello')).not.toBe(digest('Hello'))
    expect(createDigester(Buffer.from('a secret of more than 16 bytes'))('Hello')).toBe(digest('Hello'))
  })

  test('does not change when the bytes of the secret do, later', () => {
    const secret = new Uint8Array(16).fill(7)
    const early = createDigester(secret)
    const before = early('Hello')
    secret.fill(8)
    expect(early('Hello')).toBe(before)
  })
})

describe('a scope', () => {
  test('has digests of its own', () => {
    expect(digest('Hello', 'world:1')).not.toBe(digest('Hello', 'world:2'))
    expect(digest('Hello', '')).toBe(digest('Hello'))
  })

  test.each([
    ['runs into the text', ['b', 'a'], ['ab', '']],
    ['imitates the frame', ['x', 'a"b'], ['b"x', 'a']],
    ['holds half a surrogate pair, which UTF-8 cannot tell from another', ['x', '\ud800'], ['x', '\ud801']],
  ] as const)('that %s collides with no other', (_, [content, scope], [otherContent, otherScope]) => {
    expect(digest(content, scope)).not.toBe(digest(otherContent, otherScope))
  })
})

describe('a secret', () => {
  test('of fewer than 16 bytes is refused, and not shown', () => {
    expect(() => createDigester('fifteen bytes !')).toThrow(
      expect.objectContaining({ code: 'INVALID_DEFINITION', field: 'secret', message: expect.stringMatching(/^secret: 15 bytes .* at least 16 /) }),
    )
    expect(() => createDigester('fifteen bytes !')).not.toThrow(/fifteen/)
    expect(() => createDigester(new Uint8Array(15))).toThrow(/15 bytes/)
  })

  test('is measured in bytes, not characters', () => {
    expect(() => createDigester('пароль7')).toThrow(/13 bytes/)
    expect(createDigester('пароль-123')('x')).toHaveLength(22)
  })
})
