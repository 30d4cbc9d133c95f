import { describe, expect, it } from 'vitest'
import { toCsv } from './csv.ts'

describe('toCsv', () => {
  it('writes names, then rows, each line ended as RFC 4180 says', () => {
    expect(toCsv([{ plan: 'worlds/free', requests: 3 }, { plan: 'worlds/plus', requests: 0 }])).toBe('plan,requests\r\nworlds/free,3\r\nworlds/plus,0\r\n')
    expect(toCsv([])).toBe('')
  })

  it('quotes what would end a field', () => {
    expect(toCsv([{ a: 'x,y', b: 'say "hi"', c: 'two\nlines', d: 'two\r\nlines', e: ' plain ' }])).toBe('a,b,c,d,e\r\n"x,y","say ""hi""","two\nlines","two\r\nlines", plain \r\n')
  })

  it.each([
    ['=1+1', "'=1+1"],
    ['+1', "'+1"],
    ['-1', "'-1"],
    ['@SUM(A1)', "'@SUM(A1)"],
    ['\t=1', "'\t=1"],
    ['\r=1', '"\'\r=1"'],
    ['=HYPERLINK("http://x","y")', '"\'=HYPERLINK(""http://x"",""y"")"'],
    ['a=1', 'a=1'],
    ["'=1", "'=1"],
  ])('writes the text %j so that no program runs it', (text, expected) => {
    expect(toCsv([{ name: text }])).toBe(`name\r\n${expected}\r\n`)
    expect(toCsv([{ [text]: 1 }])).toBe(`${expected}\r\n1\r\n`)
  })

  it('leaves numbers as they are, and has nothing for null', () => {
    expect(toCsv([{ profit: -0.75, roi: null, isOver: true, more: undefined }])).toBe('profit,roi,isOver,more\r\n-0.75,,true,\r\n')
  })

  it('gives members of objects columns of their own, also those that only some rows have', () => {
    expect(toCsv([{ day: '2026-01-01', amounts: { tokens: 5 } }, { day: '2026-01-02', amounts: { credits: 2 } }, { day: '2026-01-03', amounts: {} }])).toBe('day,amounts.tokens,amounts.credits\r\n2026-01-01,5,\r\n2026-01-02,,2\r\n2026-01-03,,\r\n')
  })
})
