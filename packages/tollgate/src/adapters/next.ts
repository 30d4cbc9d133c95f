import type { Names } from '../engine/types.ts'
import { clientIp, type ClientIpOptions } from './http/client-ip.ts'
import { settleWithBody, withHeaders } from './http/fetch.ts'
import { type Admission, createGate, type HttpEngine, type MiddlewareOptions } from './http/gate.ts'
import { problemResponse } from './http/problem.ts'

/** A route handler of the App Router. The third argument is the admission; `undefined` where nothing was asked. */
export type RouteHandler<N extends Names, Req extends Request, Context> = (request: Req, context: Context, admission: Admission<N> | undefined) => Response | Promise<Response>

export type NextOptions<N extends Names, Req extends Request, Context> = MiddlewareOptions<N, readonly [request: Req, context: Context], Response>

/**
 * Limits a route handler: `export const POST = tollgate(engine, { request: (request) => … })(async (request) => …)`.
 */
export function tollgate<N extends Names, Req extends Request = Request, Context = unknown>(
  engine: HttpEngine<N>,
  options: NextOptions<N, Req, Context>,
): (handler: RouteHandler<N, Req, Context>) => (request: Req, context: Context) => Promise<Response> {
  const ask = createGate(engine, options)
  return (handler) => async (request, context) => {
    const verdict = await ask(request.headers.get('accept-language'), request, context)
    if (verdict.kind === 'unlimited') return handler(request, context, undefined)
    if (verdict.kind === 'failed') return problemResponse(verdict.problem)
    if (verdict.kind === 'denied') {
      if (options.onDenied) return withHeaders(await options.onDenied(verdict.decision, request, context), verdict.headers)
      return problemResponse(verdict.problem, verdict.headers)
    }
    const { admission, headers } = verdict
    try {
      const response = await handler(request, context, admission)
      return await settleWithBody(withHeaders(response, headers), admission, request.method === 'HEAD')
    } catch (error) {
      await admission.settle(false)
      throw error
    }
  }
}

/**
 * The address of the client. Next does not tell the peer: the last entry of `X-Forwarded-For` takes its place, which the platform or
 * the proxy in front writes. Without either anybody can write it.
 */
export function ipOf(request: Request, options: ClientIpOptions): string | undefined {
  const forwarded = request.headers.get('x-forwarded-for') ?? ''
  const comma = forwarded.lastIndexOf(',')
  const peer = forwarded.slice(comma + 1).trim()
  return clientIp({ 'x-forwarded-for': comma === -1 ? '' : forwarded.slice(0, comma) }, peer, options)
}
