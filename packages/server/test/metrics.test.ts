import { describe, expect, it } from 'vitest'
import { Registry } from '../src/metrics/registry.ts'
import { message, startServer } from './helpers.ts'

describe('/metrics', () => {
  it('counts decisions by outcome, plan, limit and code', async () => {
    const { ask } = await startServer()
    await ask('POST', '/v1/consume', { body: message })
    await ask('POST', '/v1/consume', { body: { ...message, plan: 'FREE' } })
    await ask('POST', '/v1/consume', { body: { ...message, plan: 'FREE' } })
    const response = await ask('GET', '/metrics', { key: null })
    expect(response.headers.get('Content-Type')).toBe('text/plain; version=0.0.4; charset=utf-8')
    const text = await response.text()
    expect(text).toContain('tollgate_decisions_total{action="consume",outcome="allowed",plan="business-chat/TRIAL",limit="",code=""} 1\n')
    expect(text).toContain('tollgate_decisions_total{action="consume",outcome="denied",plan="business-chat/FREE",limit="monthlyTokens",code="MONTHLY_TOKEN_LIMIT_EXCEEDED"} 2\n')
    expect(text).toMatch(/tollgate_http_request_duration_seconds_count\{method="POST",route="\/v1\/consume",status="200"\} 3\n/)
    expect(text).not.toContain('business:1')
    for (const line of text.trimEnd().split('\n')) expect(line).toMatch(/^(# (HELP|TYPE) \w+ .+|\w+(\{(\w+="[^"]*",?)+\})? [\d.e-]+)$/)
  })

  it('does not grow by what clients invent', async () => {
    const { ask } = await startServer()
    for (let i = 0; i < 50; i++) await ask('GET', `/invented/${i}`, { key: null })
    const text = await (await ask('GET', '/metrics')).text()
    expect(text).toContain('route="unknown",status="404"} 50')
    expect(text).not.toContain('invented')
  })
})

describe('the registry', () => {
  it('makes buckets cumulative and escapes labels', () => {
    const registry = new Registry()
    const seconds = registry.histogram('t_seconds', 'Time.', ['route'], [0.1, 1])
    for (const value of [0.05, 0.1, 0.5, 7]) seconds.observe(['a"\\\n'], value)
    expect(registry.text()).toBe(`# HELP t_seconds Time.
# TYPE t_seconds histogram
t_seconds_bucket{route="a\\"\\\\\\n",le="0.1"} 2
t_seconds_bucket{route="a\\"\\\\\\n",le="1"} 3
t_seconds_bucket{route="a\\"\\\\\\n",le="+Inf"} 4
t_seconds_sum{route="a\\"\\\\\\n"} 7.65
t_seconds_count{route="a\\"\\\\\\n"} 4
`)
  })

  it('keeps a bounded number of series', () => {
    const registry = new Registry()
    const counter = registry.counter('n', 'N.', ['x'])
    for (let i = 0; i < 5000; i++) counter.add([`${i}`])
    const lines = registry.text().split('\n')
    expect(lines.length).toBeLessThan(2010)
    expect(lines).toContain('n{x="other"} 3000')
  })
})
