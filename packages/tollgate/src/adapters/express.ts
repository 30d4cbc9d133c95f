import type { Names } from '../engine/types.ts'
import { clientIp, type ClientIpOptions, headerOf } from './http/client-ip.ts'
import { type Admission, createGate, type HttpEngine, type MiddlewareOptions } from './http/gate.ts'
import { type NodeRequest, type NodeResponse, sendProblem, setHeaders, settleWithResponse } from './http/node.ts'

/** What is used of Express' request; handlers find the admission in `tollgate`. */
export interface ExpressRequest extends NodeRequest {
  tollgate?: Admission<Names>
}

export type ExpressOptions<N extends Names, Req extends ExpressRequest, Res extends NodeResponse> = MiddlewareOptions<N, readonly [req: Req, res: Res], void>

/**
 * Limits the routes behind it: `app.use('/chat', tollgate(engine, { request: (req) => ({ subject: `user:${req.user.id}` }) }))`.
 * With `onDenied`, status and headers are set already; it sends the body.
 */
export function tollgate<N extends Names, Req extends ExpressRequest = ExpressRequest, Res extends NodeResponse = NodeResponse>(
  engine: HttpEngine<N>,
  options: ExpressOptions<N, Req, Res>,
): (req: Req, res: Res, next: (error?: unknown) => void) => Promise<void> {
  const ask = createGate(engine, options)
  return async (req, res, next) => {
    // Rejections go to Express 5 as they are.
    const verdict = await ask(headerOf(req.headers, 'accept-language'), req, res)
    if (verdict.kind === 'unlimited') return next()
    if (verdict.kind === 'failed') return sendProblem(res, verdict.problem)
    if (verdict.kind === 'denied') {
      if (!options.onDenied) return sendProblem(res, verdict.problem, verdict.headers)
      res.statusCode = verdict.problem.status
      setHeaders(res, verdict.headers)
      return options.onDenied(verdict.decision, req, res)
    }
    setHeaders(res, verdict.headers)
    req.tollgate = verdict.admission
    settleWithResponse(res, verdict.admission)
    next()
  }
}

/** The address of the client. */
export function ipOf(req: ExpressRequest, options: ClientIpOptions): string | undefined {
  return clientIp(req.headers, req.socket.remoteAddress, options)
}
