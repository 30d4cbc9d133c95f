import { describe, expect, it } from 'vitest'
import { CellKind } from '../../../decide/charge.ts'
import { cellKey, limitKey, textKey } from './keys.ts'

const LOOK_ALIKES = ['a', 'a ', 'a"', '"a', '"a"', '\\', '\\u0000', '\0', '\ud800', '\ufffd', '\\ud800', '[', '["a"]', '#', '# ', "'", '%', '\n', 'é', 'e\u0301', '', '0', 'a 1 ["b"]']
const LONG = [...LOOK_ALIKES, 'x'].map((text) => text + 'ж\0'.repeat(2000))

describe('keys of texts', () => {
  const texts = [...LOOK_ALIKES, ...LONG]
  // Whoever knows how keys are made might send one as a text.
  const keys = [...texts, ...texts.map(textKey)].filter((text, i, all) => all.indexOf(text) === i)

  it('differ as the texts do', () => expect(new Set(keys.map(textKey)).size).toBe(keys.length))
  it('are plain where the text is', () => expect(textKey('user:42 é 😀')).toBe('user:42 é 😀'))
  it.each(texts.map(textKey))('%# can be kept as text, and fits into an index', (key) => {
    expect(key).not.toMatch(/\0|\p{Surrogate}/u)
    expect(Buffer.byteLength(key)).toBeLessThanOrEqual(1000)
  })
})

describe('keys of cells', () => {
  const cells = ['a', 'a ', '"a" ', ...LONG.slice(0, 3)].flatMap((cell) =>
    ['', 'a', '["a"]', 'a","b', ...LONG.slice(0, 3)].flatMap((partition) =>
      ['', 'b'].flatMap((digest) => [CellKind.cooldown, CellKind.slidingLog].map((kind) => ({ cell, partition, digest, kind }))),
    ),
  )

  it('differ by limit, kind, partition and digest', () => expect(new Set(cells.map(cellKey)).size).toBe(cells.length))
  it('tell what they are', () => expect(cellKey({ cell: 'set/limit', kind: CellKind.cooldown, partition: 'w1', digest: '' })).toBe('"set/limit" 6 ["w1"]'))
  it('begin with their limit, and no other', () => {
    const limits = [...new Set(cells.map(({ cell }) => cell))].map((cell) => [cell, limitKey(cell)] as const)
    for (const c of cells) expect(limits.filter(([, key]) => cellKey(c).startsWith(key)).map(([cell]) => cell)).toEqual([c.cell])
  })
  it('fit into an index row together with a subject', () => {
    for (const c of cells) expect(Buffer.byteLength(cellKey(c))).toBeLessThanOrEqual(1600)
  })
})
