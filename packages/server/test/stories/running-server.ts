import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { leash } from '../../../../tools/services/leash.mjs'
import { freePorts } from '../../../../tools/services/ports.mjs'

const root = path.resolve(import.meta.dirname, '../../../..')
export const ADMIN = { authorization: 'Bearer demo-admin-key' }

export interface Answer {
  status: number
  headers: Headers
  // oxlint-disable-next-line typescript/no-explicit-any -- what the server says is what the stories examine
  body: any
}

/** The built server, as `npm start` runs it, in a process of its own with a data folder of its own. */
export class RunningServer {
  readonly url: string
  readonly #stop: () => Promise<unknown>
  readonly #folder: string

  private constructor(url: string, folder: string, stop: () => Promise<unknown>) {
    this.url = url
    this.#folder = folder
    this.#stop = stop
  }

  static async start(env: Record<string, string> = {}): Promise<RunningServer> {
    const [port] = await freePorts(1)
    const folder = mkdtempSync(path.join(tmpdir(), 'tollgate-story-'))
    const { child, stop } = leash('TERM', process.execPath, [path.join(root, 'packages/server/bin/demo.mjs')], {
      env: { ...process.env, PORT: String(port), TOLLGATE_DATA_DIR: folder, ...env },
    })
    let errors = ''
    child.stderr!.on('data', (chunk: Buffer) => (errors += chunk))
    const server = new RunningServer(`http://127.0.0.1:${port}`, folder, stop)
    for (let attempt = 0; attempt < 400; attempt++) {
      if (child.exitCode !== null) break
      if (await fetch(`${server.url}/readyz`).then((r) => r.ok, () => false)) return server
      await new Promise((resolve) => setTimeout(resolve, 25))
    }
    await stop()
    throw new Error(`the server did not become ready: ${errors}`)
  }

  async send(method: string, route: string, options: { headers?: Record<string, string>; body?: unknown } = {}): Promise<Answer> {
    const response = await fetch(this.url + route, {
      method,
      headers: { ...(options.body !== undefined && { 'content-type': 'application/json' }), ...options.headers },
      ...(options.body !== undefined && { body: JSON.stringify(options.body) }),
    })
    const text = await response.text()
    const isJson = /json/.test(response.headers.get('content-type') ?? '')
    return { status: response.status, headers: response.headers, body: isJson ? JSON.parse(text) : text }
  }

  post(route: string, body: unknown, headers: Record<string, string> = {}): Promise<Answer> {
    return this.send('POST', route, { body, headers })
  }

  get(route: string, headers: Record<string, string> = {}): Promise<Answer> {
    return this.send('GET', route, { headers })
  }

  async now(): Promise<number> {
    return (await this.get('/demo/clock')).body.now
  }

  async advance(advanceMs: number): Promise<void> {
    const { status, body } = await this.post('/demo/clock', { advanceMs })
    if (status !== 200) throw new Error(JSON.stringify(body))
  }

  /** Moves the demo clock to the next instant for which `start` says so, such as the 1st of a month. */
  async advanceTo(at: number): Promise<void> {
    const ahead = at - (await this.now())
    if (ahead > 0) await this.advance(ahead)
  }

  async stop(): Promise<void> {
    await this.#stop()
    rmSync(this.#folder, { recursive: true, force: true })
  }
}
