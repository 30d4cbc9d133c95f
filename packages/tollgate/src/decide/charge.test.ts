import { describe, expect, it } from 'vitest'
import { chargeOf } from '../testing/charges.ts'
import { CellKind, isPartitioned } from './charge.ts'

describe('a cell lives', () => {
  it.each([
    ['in the subject\'s record', { kind: CellKind.fixedWindow }, false],
    ['by itself, of a world', { kind: CellKind.fixedWindow, partition: 'w1' }, true],
    ['by itself, of a text', { kind: CellKind.slidingLog, digest: 'd' }, true],
    ['by itself, of a text in a world', { kind: CellKind.slidingLog, partition: 'w1', digest: 'd' }, true],
    ['by itself, as a log that grows', { kind: CellKind.slidingLog }, true],
  ] as const)('%s', (_, facts, isApart) => {
    expect(isPartitioned(chargeOf({ cell: 'it', ...facts }))).toBe(isApart)
  })
})
