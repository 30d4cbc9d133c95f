import type { Names } from '../engine/types.ts'
import { clientIp, type ClientIpOptions } from './http/client-ip.ts'
import { settleWithBody, withHeaders } from './http/fetch.ts'
import { type Admission, createGate, type HttpEngine, type MiddlewareOptions } from './http/gate.ts'
import { problemResponse } from './http/problem.ts'

/** What is used of Hono's `Context`. */
export interface HonoContext {
  readonly req: { readonly method: string; header(name: string): string | undefined; readonly raw: Request }
  readonly env: unknown
  /** The error that a handler threw, after `next()`. */
  readonly error: Error | undefined
  // `undefined` forgets the response, so that Hono does not copy its headers onto the next one.
  get res(): Response
  set res(response: Response | undefined)
  set(key: 'tollgate', value: Admission<Names>): void
}

export type HonoOptions<N extends Names, C extends HonoContext> = MiddlewareOptions<N, readonly [c: C], Response>

/**
 * Limits the routes behind it: `app.use('/chat/*', tollgate(engine, { request: (c) => ({ subject: `user:${c.get('userId')}` }) }))`.
 * Handlers find the admission as `c.get('tollgate')`.
 */
export function tollgate<N extends Names, C extends HonoContext = HonoContext>(
  engine: HttpEngine<N>,
  options: HonoOptions<N, C>,
): (c: C, next: () => Promise<void>) => Promise<Response | void> {
  const ask = createGate(engine, options)
  return async (c, next) => {
    const verdict = await ask(c.req.header('accept-language'), c)
    if (verdict.kind === 'unlimited') return next()
    if (verdict.kind === 'failed') return problemResponse(verdict.problem)
    if (verdict.kind === 'denied') {
      if (options.onDenied) return withHeaders(await options.onDenied(verdict.decision, c), verdict.headers)
      return problemResponse(verdict.problem, verdict.headers)
    }
    const { admission, headers } = verdict
    c.set('tollgate', admission)
    try {
      await next()
    } catch (error) {
      await admission.settle(false)
      throw error
    }
    if (c.error) await admission.settle(false)
    const response = withHeaders(c.res, headers)
    const settling = await settleWithBody(response, admission, c.req.method === 'HEAD')
    if (settling !== c.res) {
      c.res = undefined
      c.res = settling
    }
  }
}

/** The address of the client. `@hono/node-server` tells the peer; elsewhere it is unknown, and so is the client. */
export function ipOf(c: HonoContext, options: ClientIpOptions): string | undefined {
  const { incoming } = (c.env ?? {}) as { incoming?: { socket?: { remoteAddress?: string } } }
  return clientIp(c.req.raw.headers, incoming?.socket?.remoteAddress, options)
}
