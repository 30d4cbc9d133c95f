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

  it('never throws', () => {
    fc.assert(fc.property(fc.string(), (header) => {
      expect(['en', 'es', 'ru']).toContain(negotiateLocale(header, 'en'))
    }))
  })

  it('reads no further than 512 characters', () => {
    expect(negotiateLocale(`${'fr,'.repeat(170)}es`, 'ru')).toBe('es')
    expect(negotiateLocale(`${'fr,'.repeat(171)}es`, 'ru')).toBe('ru')
  })

  it('remembers headers, but not without end', () => {
    for (let i = 0; i < 2000; i++) expect(negotiateLocale(`fr;q=0.${i % 1000}, ru, x-${i}`, 'en')).toBe('ru')
    expect(negotiateLocale('fr', 'en')).toBe('en')
    expect(negotiateLocale('fr', 'es')).toBe('es')
    expect(negotiateLocale('fr', undefined)).toBeUndefined()
  })
})
