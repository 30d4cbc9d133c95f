import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { createServer, type LogLine, offlineModel, type ServerOptions, type TollgateServer } from '../src/index.ts'

export const ADMIN_KEY = 'the-admin-key-of-the-tests'

export interface Asking {
  body?: unknown
  headers?: Record<string, string>
  /** A key for `/v1`; null for none. Default: the admin key. */
  key?: string | null
}

export interface TestServer {
  readonly server: TollgateServer
  readonly lines: LogLine[]
  /** Asks without a socket. Text bodies are sent as they are. */
  ask(method: string, path: string, asking?: Asking): Promise<Response>
  /** The same, of a demo route. */
  as(user: string | null, plan?: string, more?: Record<string, string>): (method: string, path: string, body?: unknown, headers?: Record<string, string>) => Promise<Response>
  advance(ms: number): Promise<number>
}

/** A demo server in this process, closed at the end of the test. */
export async function startServer(options: ServerOptions = {}): Promise<TestServer> {
  const lines: LogLine[] = []
  const server = await createServer({ demo: { model: offlineModel({ wordMs: 0 }) }, adminKey: ADMIN_KEY, log: (line) => lines.push(line), shutdownTimeoutMs: 500, ...options })
  onTestFinished(() => server.close())
  const ask: TestServer['ask'] = async (method, path, { body, headers = {}, key = ADMIN_KEY } = {}) =>
    server.app.request(path, {
      method,
      headers: { ...(body !== undefined && { 'Content-Type': 'application/json' }), ...(key !== null && { Authorization: `Bearer ${key}` }), ...headers },
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
  return {
    server,
    lines,
    ask,
    as: (user, plan, more = {}) => (method, path, body, headers = {}) =>
      ask(method, path, { body, key: null, headers: { ...(user !== null && { 'X-Demo-User': user }), ...(plan !== undefined && { 'X-Demo-Plan': plan }), ...more, ...headers } }),
    async advance(ms) {
      const response = await ask('POST', '/demo/clock', { body: { advanceMs: ms }, key: null })
      return ((await response.json()) as { now: number }).now
    },
  }
}

/** A listening server; the result is its address. */
export async function startListening(options: ServerOptions = {}): Promise<TestServer & { url: string }> {
  const started = await startServer(options)
  const { port } = await started.server.listen({ port: 0 })
  return { ...started, url: `http://127.0.0.1:${port}` }
}

export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'tollgate-server-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

// oxlint-disable-next-line typescript/no-explicit-any -- answers are checked by what the tests expect of them
export const jsonOf = async (response: Response | Promise<Response>): Promise<any> => (await response).json()

/** Waits until it holds, for things that happen in another turn or process. */
export async function eventually(holds: () => boolean | Promise<boolean>, timeoutMs = 5000): Promise<void> {
  const startedAt = Date.now()
  while (!(await holds())) {
    if (Date.now() - startedAt > timeoutMs) throw new Error('it did not come true in time')
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

/** A request of `/v1` that the trial plan of businesses admits. */
export const message = { subject: 'business:1', plan: 'business-chat/TRIAL', operation: 'message', amounts: { tokens: 100 } }
