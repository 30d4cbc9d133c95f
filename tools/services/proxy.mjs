import { once } from 'node:events'
import net from 'node:net'

/**
 * A network that can be bad, in front of a server of this machine.
 * @param {{ port: number }} options the server's port
 * @returns {Promise<import('./proxy.d.mts').Proxy>}
 */
export async function startProxy({ port: serverPort }) {
  const sockets = new Set()
  let drop = () => false
  let droppedCount = 0
  let delayMs = 0
  /** While paused: who waits for the end of it, and what ends it. */
  let held

  const server = net.createServer({ allowHalfOpen: true }, (client) => {
    const upstream = net.connect({ port: serverPort, host: '127.0.0.1', allowHalfOpen: true })
    const destroy = () => {
      client.destroy()
      upstream.destroy()
    }
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.setNoDelay(true)
      socket.on('close', () => sockets.delete(socket))
    }
    // The server's refusal or end is the caller's too. A caller that goes away takes back nothing of what it has sent.
    upstream.on('error', destroy)
    client.on('error', () => {})
    pass(client, upstream, () => false)
    pass(upstream, client, () => {
      if (!drop()) return false
      droppedCount++
      destroy()
      return true
    })
  })

  /** Hands on what comes, in its order, when its time has come and the line is not paused. */
  function pass(from, to, isDropped) {
    let line = Promise.resolve()
    const later = (action) => {
      const dueAt = performance.now() + delayMs
      line = line.then(async () => {
        if (dueAt > performance.now()) await new Promise((resolve) => setTimeout(resolve, dueAt - performance.now()))
        await held?.ended
        if (!to.destroyed) action()
      })
    }
    from.on('data', (chunk) => {
      if (!isDropped()) later(() => to.write(chunk))
    })
    from.on('close', () => later(() => to.end()))
    from.on('end', () => later(() => to.end()))
  }

  const listen = async (port) => {
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
  }
  const cut = async () => {
    if (!server.listening) return
    const closed = new Promise((resolve) => server.close(resolve))
    for (const socket of sockets) socket.destroy()
    await closed
  }
  const resume = () => {
    held?.end()
    held = undefined
  }

  await listen(0)
  const { port } = server.address()
  return {
    port,
    get droppedCount() {
      return droppedCount
    },
    dropReplies: (share, random = Math.random) => {
      drop = () => random() < share
    },
    delay: (ms) => {
      delayMs = ms
    },
    pause: () => {
      if (held !== undefined) return
      held = {}
      held.ended = new Promise((resolve) => (held.end = resolve))
    },
    resume,
    cut,
    mend: async () => {
      if (!server.listening) await listen(port)
    },
    stop: async () => {
      await cut()
      resume()
    },
  }
}
