import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { onTestFinished } from 'vitest'

/** A way to a database that can be lost: refused, or silent. */
export interface Proxy {
  readonly url: string
  /** Cuts what is open, and refuses or swallows what comes, until `restore`. */
  lose(how: 'refused' | 'silent'): void
  restore(): void
}

export async function proxyTo(target: string): Promise<Proxy> {
  const { hostname, port } = new URL(target)
  const open = new Set<Socket>()
  let state: 'open' | 'refused' | 'silent' = 'open'
  const server = createServer((socket) => {
    if (state === 'refused') return void socket.destroy()
    const upstream = connect(Number(port), hostname)
    for (const each of [socket, upstream]) {
      open.add(each)
      each.on('error', () => {})
      each.once('close', () => {
        open.delete(each)
        socket.destroy()
        upstream.destroy()
      })
    }
    socket.on('data', (data) => state === 'open' && upstream.write(data))
    upstream.on('data', (data) => state === 'open' && socket.write(data))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const cut = () => open.forEach((socket) => socket.destroy())
  onTestFinished(() => {
    cut()
    server.close()
  })
  const url = new URL(target)
  url.hostname = '127.0.0.1'
  url.port = String((server.address() as AddressInfo).port)
  return {
    url: url.href,
    lose(how) {
      state = how
      // Whoever is silent keeps the connections that there are.
      if (how === 'refused') cut()
    },
    restore() {
      // What was swallowed cannot be said again.
      cut()
      state = 'open'
    },
  }
}
