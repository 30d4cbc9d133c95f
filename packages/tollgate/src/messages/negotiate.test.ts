import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { negotiateLocale } from './negotiate.ts'

describe('negotiateLocale', () => {
  it.each<[string | null | undefined, string]>([
    [undefined, 'en'],
    [null, 'en'],
    ['', 'en'],
    ['es', 'es'],
    ['es-MX', 'es'],
    ['RU-ru', 'ru'],
    ['fr, es;q=0.5, ru;q=0.8', 'ru'],
    ['es;q=0.5,en;q=0.5', 'es'],
    ['de-DE,de;q=0.9', 'en'],
    ['es;q=0, ru;q=0.1', 'ru'],
    ['es ; q=0.3 , ru ;Q=0.4', 'ru'],
    ['fr, *;q=0.5, es;q=0.1', 'en'],
    ['es;q=2, ru;q=0.2', 'ru'],
    ['es;q=junk', 'en'],
    ['es;;;, ru', 'ru'],
    ['estonian', 'en'],
    [',;,;=,', 'en'],
  ])('%j speaks %s', (header, expected) => {
    expect(negotiateLocale(header, 'en')).toBe(expected)
  })

  it('never throws, and stays quick on hostile input', () => {
    fc.assert(fc.property(fc.string(), (header) => ['en', 'es', 'ru'].includes(negotiateLocale(header, 'en'))))
    for (const hostile of ['es;'.repeat(1e6), ','.repeat(1e6), ' '.repeat(1e6), `es;q=${'0'.repeat(1e6)}`]) {
      const startedAt = performance.now()
      negotiateLocale(hostile, 'ru')
      expect(performance.now() - startedAt).toBeLessThan(50)
    }
  })
})
