import type { Names } from '../engine/types.ts'
import { clientIp, type ClientIpOptions } from './http/client-ip.ts'
import { settleWithBody, withHeaders } from './http/fetch.ts'
import { type Admission, createGate, type HttpEngine, type MiddlewareOptions } from './http/gate.ts'
import { type NodeRequest, type NodeResponse, setHeaders } from './http/node.ts'
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

/** What `@hono/node-server` puts into `c.env`. */
interface NodeBindings {
  incoming?: NodeRequest
  outgoing?: NodeResponse
}

export type HonoOptions<N extends Names, C extends HonoContext> = MiddlewareOptions<N, readonly [c: C], Response>

/**
 * Limits the routes behind it: `app.use('/chat/*', tollgate(engine, { request: (c: Context<Env>) => ({ subject: `user:${c.get('userId')}` }) }))`.
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
    const { outgoing } = bindingsOf(c)
    if (outgoing && !admission.isOpen) {
      // Node's response takes five headers in 1 µs; by way of a `Headers` object they cost 6, more than deciding.
      setHeaders(outgoing, headers)
      return next()
    }
    try {
      await next()
    } catch (thrown) {
      // Hono answers errors by itself; what was thrown here is not even an Error.
      await admission.settle(false)
      throw thrown
    }
    if (c.error) await admission.settle(false)
    const response = await settleWithBody(withHeaders(c.res, headers), admission, c.req.method === 'HEAD')
    if (response !== c.res) {
      c.res = undefined
      c.res = response
    }
  }
}

/** The address of the client. `@hono/node-server` tells the peer; elsewhere it is unknown, and so is the client. */
export function ipOf(c: HonoContext, options: ClientIpOptions): string | undefined {
  return clientIp(c.req.raw.headers, bindingsOf(c).incoming?.socket.remoteAddress, options)
}

const bindingsOf = (c: HonoContext) => (c.env ?? {}) as NodeBindings
