import type { HttpBindings } from '@hono/node-server'
import { type OpenAPIHono, z } from '@hono/zod-openapi'
import type { Context } from 'hono'
import { type Locale, negotiateLocale, TollgateError } from 'tollgate'
import { problem } from '../schemas/problem.ts'
import type { Tenant } from '../tenants.ts'
import { readBody } from './body.ts'
import { answerOnce, type Attempt, fingerprintOf, idempotencyKeyOf } from './idempotency.ts'
import { MethodNotAllowed, parseWith } from './problems.ts'

/** A request that did not come over a socket has no bindings, whatever the type says. */
export interface Env {
  Bindings: Partial<HttpBindings>
  Variables: { route: string }
}

/** For whom a request is answered. */
export interface Identity {
  readonly tenant: Tenant
  /** Whose `Idempotency-Key`s these are within the namespace: nobody can be given another's answer. */
  readonly owner: string
}

/** Who may call an endpoint, and how that is told in the API's description. */
export interface Access<I extends Identity> {
  readonly security: readonly Record<string, string[]>[]
  readonly headers?: z.ZodObject
  /** @throws UNAUTHENTICATED, FORBIDDEN */
  identify(c: Context<Env>): I | Promise<I>
}

type Shape = z.ZodObject | undefined
type Read<S extends Shape> = S extends z.ZodObject ? z.output<S> : undefined

export interface Endpoint<I extends Identity, P extends Shape, Q extends Shape, B extends Shape> {
  readonly method: 'get' | 'post' | 'put' | 'delete'
  /** Parameters as in OpenAPI: `/v1/keys/{id}`. */
  readonly path: string
  readonly tag: string
  readonly summary: string
  readonly description?: string
  readonly access: Access<I>
  readonly params?: P
  readonly query?: Q
  readonly body?: B
  /** The body's members are all optional: none is `{}`. */
  readonly isBodyOptional?: boolean
  /** Changes nothing, although it is a POST: an `Idempotency-Key` has no meaning. */
  readonly isReadOnly?: boolean
  /** A member of the answer that is told once: neither kept for its `Idempotency-Key` nor replayed. */
  readonly secret?: string
  /** `isTable`: as CSV too, for whoever accepts that. */
  readonly answers: Readonly<Record<number, { description: string; schema?: z.ZodType; contentType?: string; headers?: z.ZodObject; isTable?: boolean }>>
}

/** One request, checked. */
export interface Call<I extends Identity, P = unknown, Q = unknown, B = unknown> {
  readonly c: Context<Env>
  readonly identity: I
  readonly params: P
  readonly query: Q
  readonly body: B
  /** The idempotency key, with whose and of which route it is. */
  readonly key: string | undefined
  /** Set where there is a key. */
  readonly effect: string | undefined
  /** Says that an answer that has begun went wrong: it is then not remembered. */
  readonly failed: () => void
}

export interface RouterOptions {
  readonly maxBodyBytes: number
  readonly secret: string
}

const idempotencyHeader = z.object({
  'Idempotency-Key': z.string().min(1).max(256).optional().openapi({ description: 'The same key with the same body gives the first answer again for 24 h, marked `Idempotency-Replayed: true`; with another body, or while the first is under way, 409.' }),
})

/** Endpoints: one definition each, from which requests are checked and the API is described. */
export class Router {
  readonly app: OpenAPIHono<Env>
  readonly #options: RouterOptions
  readonly #methods = new Map<string, string[]>()

  constructor(app: OpenAPIHono<Env>, options: RouterOptions) {
    this.app = app
    this.#options = options
  }

  add<I extends Identity, P extends Shape = undefined, Q extends Shape = undefined, B extends Shape = undefined>(
    endpoint: Endpoint<I, P, Q, B>,
    handle: (call: Call<I, Read<P>, Read<Q>, Read<B>>) => Response | Promise<Response>,
  ): void {
    const { method, path } = endpoint
    const isWrite = method !== 'get' && endpoint.isReadOnly !== true
    this.#describe(endpoint, isWrite)
    this.#methods.set(path, [...(this.#methods.get(path) ?? []), method.toUpperCase()])
    this.app.on(method.toUpperCase(), honoPath(path), async (c) => {
      c.set('route', path)
      const identity = await endpoint.access.identify(c)
      const params = (endpoint.params && parseWith(endpoint.params, c.req.param())) as Read<P>
      const query = (endpoint.query && parseWith(endpoint.query, queryOf(c))) as Read<Q>
      const body = (endpoint.body && (await this.#bodyOf(c, endpoint.body, endpoint.isBodyOptional === true))) as Read<B>
      const sent = isWrite ? idempotencyKeyOf(c.req.header('Idempotency-Key'), body) : undefined
      if (sent === undefined) return handle({ c, identity, params, query, body, key: undefined, effect: undefined, failed: () => {} })
      const { pathname, search } = new URL(c.req.url)
      const fingerprint = fingerprintOf(this.#options.secret, pathname + search, body)
      const key = JSON.stringify([method, path, identity.owner, sent])
      const run = async ({ effect, failed }: Attempt) => handle({ c, identity, params, query, body, key, effect, failed })
      // Whose answer it is, so that it goes when the subject is erased.
      const subject = (params as { subject?: string } | undefined)?.subject ?? (body as { subject?: string } | undefined)?.subject
      return answerOnce(identity.tenant.receipts, key, fingerprint, run, { secret: endpoint.secret, subject })
    })
  }

  /** To be called after the last `add`: the wrong method on a known path says which are right. */
  finish(): void {
    for (const [path, methods] of this.#methods) {
      const allow = [...methods, ...(methods.includes('GET') ? ['HEAD'] : []), 'OPTIONS'].join(', ')
      this.app.all(honoPath(path), (c) => {
        c.set('route', path)
        if (c.req.method === 'OPTIONS') return new Response(null, { status: 204, headers: { Allow: allow } })
        throw new MethodNotAllowed(c.req.method, allow)
      })
    }
    this.app.notFound(() => {
      throw new TollgateError('NOT_FOUND', 'there is no such route; GET / lists them')
    })
  }

  /** Every route, such as `POST /v1/check`. */
  routes(): string[] {
    return [...this.#methods].flatMap(([path, methods]) => methods.map((method) => `${method} ${path}`))
  }

  async #bodyOf<S extends z.ZodObject>(c: Context, schema: S, isOptional: boolean): Promise<z.output<S>> {
    const body = await readBody(c, this.#options.maxBodyBytes)
    if (body === undefined && !isOptional) throw new TollgateError('MALFORMED_BODY', 'the body is empty; send a JSON object with Content-Type: application/json')
    return parseWith(schema, body ?? {})
  }

  #describe({ method, path, tag, summary, description, access, params, query, body, isBodyOptional, answers }: Endpoint<Identity, Shape, Shape, Shape>, isWrite: boolean): void {
    const headers = [isWrite ? idempotencyHeader : undefined, access.headers].filter((schema) => schema !== undefined)
    this.app.openAPIRegistry.registerPath({
      method,
      path,
      operationId: operationIdOf(method, path),
      tags: [tag],
      summary,
      ...(description !== undefined && { description }),
      security: [...access.security],
      request: {
        ...(params && { params }),
        ...(query && { query }),
        ...(headers.length > 0 && { headers }),
        ...(body && { body: { required: isBodyOptional !== true, content: { 'application/json': { schema: body } } } }),
      },
      responses: {
        ...Object.fromEntries(Object.entries(answers).map(([status, answer]) => [status, describeAnswer(answer)])),
        default: { description: 'An error, as a problem (RFC 9457).', content: { 'application/problem+json': { schema: problem } } },
      },
    })
  }
}

function describeAnswer({ description, schema, contentType = 'application/json', headers, isTable }: Endpoint<Identity, Shape, Shape, Shape>['answers'][number]) {
  return { description, ...(headers && { headers }), ...(schema && { content: { [contentType]: { schema }, ...(isTable && { 'text/csv': { schema: z.string() } }) } }) }
}

/** `postSubjectsGrants`: for clients that are generated. */
function operationIdOf(method: string, path: string): string {
  const words = path.replace(/^\/(v1|api)\//, '/').split(/[/.]/).filter((word) => word !== '' && !word.startsWith('{'))
  return method + (words.length === 0 ? ['index'] : words).map((word) => word[0]!.toUpperCase() + word.slice(1)).join('')
}

const honoPath = (path: string) => path.replaceAll(/\{(\w+)\}/g, ':$1')

/** Every value of a name; one that is given twice is an array, which no schema takes. */
function queryOf(c: Context): Record<string, string | string[]> {
  return Object.fromEntries(Object.entries(c.req.queries()).map(([name, values]) => [name, values.length === 1 ? values[0]! : values]))
}

/** The language of an answer: what the request says, else what the browser likes best. */
export function localeOf(c: Context, wanted: string | undefined, fallback: Locale): string {
  return wanted ?? negotiateLocale(c.req.header('Accept-Language'), fallback)
}
