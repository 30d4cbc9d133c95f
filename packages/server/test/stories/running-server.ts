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

/** The built server, as `npm start` runs it, in a process of its own with a data folder of its own. Its clock is held: however slow the machine, no time passes by itself. */
export class RunningServer {
  readonly url: string
  readonly #env: Record<string, string>
  readonly #folder: string
  #stop: (instead?: 'KILL') => Promise<unknown> = async () => {}

  private constructor(port: number, folder: string, env: Record<string, string>) {
    this.url = `http://127.0.0.1:${port}`
    this.#folder = folder
    // A database of whoever runs the tests is not for them.
    this.#env = { DATABASE_URL: '', REDIS_URL: '', ...env, PORT: String(port), TOLLGATE_DATA_DIR: folder }
  }

  static async start(env: Record<string, string> = {}): Promise<RunningServer> {
    const [port] = await freePorts(1)
    const server = new RunningServer(port!, mkdtempSync(path.join(tmpdir(), 'tollgate-story-')), env)
    await server.#run()
    await server.#setClock({ advanceMs: 0, held: true })
    return server
  }

  async #run(): Promise<void> {
    const { child, stop } = leash('TERM', process.execPath, [path.join(root, 'packages/server/bin/demo.mjs')], { env: { ...process.env, ...this.#env } })
    this.#stop = stop
    let errors = ''
    child.stderr!.on('data', (chunk: Buffer) => (errors += chunk))
    for (let attempt = 0; attempt < 400; attempt++) {
      if (child.exitCode !== null) break
      if (await fetch(`${this.url}/readyz`).then((r) => r.ok, () => false)) return
      await new Promise((resolve) => setTimeout(resolve, 25))
    }
    await stop()
    throw new Error(`the server did not become ready: ${errors}`)
  }

  /** Ends the process, by SIGTERM or at once, and starts another one in its place. */
  async restart(how?: 'KILL'): Promise<void> {
    await this.#stop(how)
    await this.#run()
  }

  /** Ends the process at once; `restart` starts another. */
  async kill(): Promise<void> {
    await this.#stop('KILL')
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

  advance(advanceMs: number): Promise<void> {
    return this.#setClock({ advanceMs })
  }

  async #setClock(clock: { advanceMs: number; held?: boolean }): Promise<void> {
    const { status, body } = await this.post('/demo/clock', clock)
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
