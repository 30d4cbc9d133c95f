// As much of the protocol of Redis as its tests' servers need to be set up, without a client library.
import net from 'node:net'

const REPLY_TIMEOUT_MS = 5_000

/**
 * One command over a connection of its own. An error of the server rejects with its text.
 * @param {number} port
 * @param {...(string | number | Buffer)} args
 * @returns {Promise<import('./redis.d.mts').Reply>}
 */
export async function command(port, ...args) {
  return toText(await binaryCommand(port, ...args))
}

/** As `command`, but a character of the reply is a byte: keys need not be text. */
export function binaryCommand(port, ...args) {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1', () => socket.write(encode(args)))
    let received = ''
    socket.setEncoding('latin1')
    socket.setTimeout(REPLY_TIMEOUT_MS, () => socket.destroy(new Error(`${args[0]}: no reply in ${REPLY_TIMEOUT_MS} ms`)))
    socket.on('data', (text) => {
      received += text
      const parsed = parse(received, 0)
      if (parsed === undefined) return
      socket.destroy()
      if (parsed.value instanceof Error) reject(parsed.value)
      else resolve(parsed.value)
    })
    socket.once('error', reject)
    socket.once('close', () => reject(new Error(`${args[0]}: the connection closed before the reply`)))
  })
}

function encode(args) {
  const parts = args.map((arg) => (Buffer.isBuffer(arg) ? arg : Buffer.from(String(arg))))
  return Buffer.concat([Buffer.from(`*${parts.length}\r\n`), ...parts.flatMap((part) => [Buffer.from(`$${part.length}\r\n`), part, Buffer.from('\r\n')])])
}

/** What begins at `start`, and where it ends; nothing while it has not come in full. */
function parse(text, start) {
  const lineEnd = text.indexOf('\r\n', start)
  if (lineEnd < 0) return undefined
  const line = text.slice(start + 1, lineEnd)
  const next = lineEnd + 2
  switch (text[start]) {
    case '+':
      return { value: line, next }
    case '-':
      return { value: new Error(line), next }
    case ':':
      return { value: Number(line), next }
    case '$': {
      const length = Number(line)
      if (length < 0) return { value: null, next }
      return text.length < next + length + 2 ? undefined : { value: text.slice(next, next + length), next: next + length + 2 }
    }
    case '*':
      return Number(line) < 0 ? { value: null, next } : parseItems(text, next, Number(line))
    default:
      return { value: new Error(`not a reply of Redis: ${text.slice(start, lineEnd)}`), next }
  }
}

function parseItems(text, start, count) {
  const value = []
  let next = start
  for (let i = 0; i < count; i++) {
    const item = parse(text, next)
    if (item === undefined) return undefined
    value.push(item.value)
    next = item.next
  }
  return { value, next }
}

function toText(value) {
  if (Array.isArray(value)) return value.map(toText)
  return typeof value === 'string' ? Buffer.from(value, 'latin1').toString() : value
}
