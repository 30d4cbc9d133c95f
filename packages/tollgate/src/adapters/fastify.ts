import type { Names } from '../engine/types.ts'
import { clientIp, type ClientIpOptions, headerOf } from './http/client-ip.ts'
import { type Admission, createGate, type HttpEngine, type MiddlewareOptions } from './http/gate.ts'
import { type NodeRequest, type NodeResponse, settleWithResponse } from './http/node.ts'
import { problemAnswer } from './http/problem.ts'

/** What is used of Fastify's request; handlers find the admission in `tollgate`. */
export interface FastifyRequest extends NodeRequest {
  tollgate?: Admission<Names> | null
}

/** What is used of Fastify's reply. */
export interface FastifyReply {
  readonly raw: NodeResponse
  code(status: number): unknown
  headers(headers: Record<string, string>): unknown
  send(payload: unknown): unknown
}

/** What is used of a Fastify instance. */
export interface FastifyInstance<Req, Reply> {
  hasRequestDecorator(name: string): boolean
  decorateRequest(name: string, value: null): unknown
  addHook(name: 'preHandler', hook: (request: Req, reply: Reply) => Promise<unknown>): unknown
}

export type FastifyOptions<N extends Names, Req extends FastifyRequest, Reply extends FastifyReply> = MiddlewareOptions<N, readonly [request: Req, reply: Reply], unknown>

/**
 * A plugin that limits the routes of the instance it is registered on:
 * `app.register(tollgate(engine, { request: (request) => ({ subject: `user:${request.user.id}` }) }))`.
 * With `onDenied`, status and headers are set already; what it returns is the payload.
 */
export function tollgate<N extends Names, Req extends FastifyRequest = FastifyRequest, Reply extends FastifyReply = FastifyReply>(
  engine: HttpEngine<N>,
  options: FastifyOptions<N, Req, Reply>,
): (instance: FastifyInstance<Req, Reply>) => Promise<void> {
  const ask = createGate(engine, options)

  const preHandler = async (request: Req, reply: Reply) => {
    const verdict = await ask(headerOf(request.headers, 'accept-language'), request, reply)
    if (verdict.kind === 'unlimited') return
    if (verdict.kind === 'admitted') {
      reply.headers(verdict.headers)
      request.tollgate = verdict.admission
      settleWithResponse(reply.raw, verdict.admission)
      return
    }
    if (verdict.kind === 'denied' && options.onDenied) {
      reply.code(verdict.problem.status)
      reply.headers(verdict.headers)
      return reply.send(await options.onDenied(verdict.decision, request, reply))
    }
    const answer = problemAnswer(verdict.problem, verdict.kind === 'denied' ? verdict.headers : {})
    reply.code(answer.status)
    reply.headers(answer.headers)
    return reply.send(answer.body)
  }

  const plugin = async (instance: FastifyInstance<Req, Reply>) => {
    if (!instance.hasRequestDecorator('tollgate')) instance.decorateRequest('tollgate', null)
    instance.addHook('preHandler', preHandler)
  }
  // Like fastify-plugin: the hook belongs to the instance that registers this, not to a scope of its own.
  return Object.assign(plugin, { [Symbol.for('skip-override')]: true })
}

/** The address of the client. */
export function ipOf(request: FastifyRequest, options: ClientIpOptions): string | undefined {
  return clientIp(request.headers, request.socket.remoteAddress, options)
}
