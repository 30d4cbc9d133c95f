import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import net from 'node:net'

/**
 * A line to a server that can keep what a client says on it.
 * @param {number} serverPort
 */
export async function startRecorder(serverPort) {
  let kept
  const sockets = new Set()
  const proxy = net.createServer((client) => {
    const server = net.connect(serverPort, '127.0.0.1')
    for (const socket of [client, server]) {
      sockets.add(socket)
      socket.setNoDelay(true)
      socket.on('error', () => socket.destroy())
    }
    client.on('data', (chunk) => kept?.push(chunk))
    client.pipe(server)
    server.pipe(client)
  })
  proxy.listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  return {
    port: proxy.address().port,
    /** The bytes that came while `run` did. */
    async during(run) {
      kept = []
      await run()
      const bytes = Buffer.concat(kept)
      kept = undefined
      return bytes
    },
    stop() {
      for (const socket of sockets) socket.destroy()
      proxy.close()
    },
  }
}

/** Says the same again, as fast as the server takes it. How long until all is answered, and the answers. */
export async function replay(port, bytes) {
  const socket = net.connect(port, '127.0.0.1')
  await once(socket, 'connect')
  socket.setNoDelay(true)
  const word = randomBytes(16).toString('hex')
  const end = Buffer.from(`$${word.length}\r\n${word}\r\n`)
  const all = Buffer.concat([bytes, Buffer.from(`*2\r\n$4\r\nECHO\r\n${end.toString()}`)])
  const chunks = []
  let tail = Buffer.alloc(0)
  const startedAt = process.hrtime.bigint()
  const answered = new Promise((resolve, reject) => {
    socket.on('data', (chunk) => {
      chunks.push(chunk)
      tail = chunk.length < end.length ? Buffer.concat([tail, chunk]).subarray(-end.length) : chunk.subarray(-end.length)
      if (tail.equals(end)) resolve()
    })
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('the server closed the connection')))
  })
  socket.write(all)
  await answered
  const seconds = Number(process.hrtime.bigint() - startedAt) / 1e9
  socket.destroy()
  const answers = Buffer.concat(chunks)
  return { seconds, answers: answers.subarray(0, -end.length) }
}

/** Each answer of a reply, and of those that are lists each of theirs. @throws Error for an error */
export function* answersIn(reply) {
  for (let at = 0; at < reply.length; ) {
    const lineEnd = reply.indexOf('\r\n', at)
    const kind = String.fromCharCode(reply[at])
    const line = reply.toString('latin1', at + 1, lineEnd)
    at = lineEnd + 2
    if (kind === '-') throw new Error(line)
    if (kind === ':') yield Number(line)
    if (kind !== '$' || line === '-1') continue
    yield reply.subarray(at, at + Number(line))
    at += Number(line) + 2
  }
}
