import { describe, expect, it } from 'vitest'
import { withHeaders } from './fetch.ts'

describe('withHeaders', () => {
  it('sets headers in place', () => {
    const response = new Response('hello', { status: 201 })
    expect(withHeaders(response, { RateLimit: 'a' })).toBe(response)
    expect(response.headers.get('ratelimit')).toBe('a')
  })

  it('copies a response that cannot be changed', () => {
    const response = withHeaders(Response.redirect('http://localhost/next'), { RateLimit: 'a' })
    expect([response.status, response.headers.get('location'), response.headers.get('ratelimit')]).toEqual([302, 'http://localhost/next', 'a'])
  })

  it('does not hide a header that no response can have', () => {
    expect(() => withHeaders(new Response(null), { 'X-Mine': 'a\r\nb' })).toThrow(TypeError)
  })
})
