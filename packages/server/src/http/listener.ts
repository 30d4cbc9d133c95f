import { createServer as createHttpServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import { StartupError } from '../startup-error.ts'

/** From the first byte to the last of a request: what takes longer is no client of ours. */
const REQUEST_MS = 30_000
const HEADERS_MS = 15_000
/** How often a server that stops looks for connections that have nothing to do any more. */
const SWEEP_MS = 50

export interface ListenerOptions {
  readonly fetch: Parameters<typeof getRequestListener>[0]
  /** Answers a request that cannot even be made a `Request` of. */
  readonly onUnreadable: () => Response
  /** A request began; the result is called when its answer has ended. */
  readonly begin: () => () => void
}

export interface Listener {
  readonly port: number
  /** Lets requests under way finish; after `timeoutMs` their connections are cut. */
  stop(timeoutMs: number): Promise<void>
}

/** @throws StartupError when the address cannot be listened on. */
export async function listen({ fetch, onUnreadable, begin }: ListenerOptions, port: number, hostname: string): Promise<Listener> {
  const handle = getRequestListener(fetch, { errorHandler: onUnreadable })
  let isStopping = false
  const answers = new Answers()
  // A request without Host is refused all the same, by us and with a body.
  const server = createHttpServer({ requestTimeout: REQUEST_MS, headersTimeout: HEADERS_MS, requireHostHeader: false }, (request, response) => {
    response.once('close', begin())
    answers.add(response)
    if (isStopping) response.setHeader('Connection', 'close')
    void handle(request, response)
  })
  server.on('clientError', refuse)
  await bind(server, port, hostname)
  return {
    port: (server.address() as AddressInfo).port,
    async stop(timeoutMs) {
      isStopping = true
      await stop(server, timeoutMs)
      await answers.ended()
    },
  }
}

/** Answers that have not ended. A connection that is cut closes a moment before its answer hears of it. */
class Answers {
  #open = 0
  #onEnded = () => {}

  add(response: ServerResponse): void {
    this.#open++
    response.once('close', () => {
      if (--this.#open === 0) this.#onEnded()
    })
  }

  async ended(): Promise<void> {
    if (this.#open > 0) await new Promise<void>((resolve) => (this.#onEnded = resolve))
    // What else listens to the end of an answer, such as the stream it came from, has its turn first.
    await new Promise((resolve) => setImmediate(resolve))
  }
}

function bind(server: Server, port: number, hostname: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(explained(error, port, hostname)))
    server.listen(port, hostname, () => resolve())
  })
}

function explained(error: NodeJS.ErrnoException, port: number, hostname: string): Error {
  if (error.code === 'EADDRINUSE') return new StartupError(`Port ${port} is taken by another program. Stop it, or choose another port: PORT=${port === 65_535 ? 4401 : port + 1} npm start`)
  if (error.code === 'EACCES') return new StartupError(`Port ${port} is not open to this user. Choose one above 1023, such as PORT=4400.`)
  if (error.code === 'EADDRNOTAVAIL' || error.code === 'ENOTFOUND') return new StartupError(`${hostname} is no address of this machine.`)
  return error
}

function stop(server: Server, timeoutMs: number): Promise<void> {
  return new Promise((resolve) => {
    // A connection that is kept alive becomes idle after its last answer, when nobody looks any more.
    const sweep = setInterval(() => server.closeIdleConnections(), SWEEP_MS)
    const cut = setTimeout(() => server.closeAllConnections(), timeoutMs)
    server.close(() => {
      clearInterval(sweep)
      clearTimeout(cut)
      resolve()
    })
  })
}

/** What is not HTTP gets an answer all the same: Node's own has no body. */
function refuse(error: NodeJS.ErrnoException, socket: Socket): void {
  if (!socket.writable || error.code === 'ECONNRESET') return void socket.destroy()
  const [status, title] = error.code === 'HPE_HEADER_OVERFLOW' ? [431, 'Request Header Fields Too Large'] : error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? [408, 'Request Timeout'] : [400, 'Bad Request']
  const body = JSON.stringify({ type: 'about:blank', title, status, detail: 'This is not a request that the server can read.', code: 'MALFORMED_REQUEST' })
  socket.end(`HTTP/1.1 ${status} ${title}\r\nConnection: close\r\nContent-Type: application/problem+json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`)
}
