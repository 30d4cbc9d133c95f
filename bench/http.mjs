/** (c) What six limits and their headers add to a request, against what each framework's own single limit adds. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import net from 'node:net'
import { fileURLToPath } from 'node:url'
import { interleave, median } from './measure.mjs'

const FRAMEWORKS = ['hono', 'fastify', 'express']
const WHATS = ['bare', 'peer', 'ours']
const ROUNDS = 9
const CONNECTIONS = 32
const ROUND_MS = 700
const PEERS = { hono: 'hono-rate-limiter', fastify: '@fastify/rate-limit', express: 'express-rate-limit' }

export async function http() {
  const rows = []
  const goals = []
  for (const framework of FRAMEWORKS) {
    const servers = await Promise.all(WHATS.map(async (what) => ({ name: what, ...(await start(framework, what)) })))
    const rates = await interleave(servers, { rounds: ROUNDS, warmUps: 2, measure: ({ port }) => load(port) })
    for (const { child } of servers) child.stdin.end()
    const added = (what) => median(rates[what].map((rate, round) => 1e6 / rate - 1e6 / rates.bare[round]))
    rows.push([framework, Math.round(median(rates.bare)), `${added('peer').toFixed(1)} (${PEERS[framework]}, one limit)`, added('ours').toFixed(1)])
    goals.push({ what: `${framework}: µs added by six limits, against ${PEERS[framework]}'s one`, goal: 1, is: added('ours') / added('peer') })
  }
  return { columns: ['HTTP', 'bare req/s', 'µs added by the peer', 'µs added by six limits'], rows, goals, facts: [] }
}

async function start(framework, what) {
  const child = spawn(process.execPath, [fileURLToPath(new URL('http-server.mjs', import.meta.url)), framework, what], { stdio: ['pipe', 'pipe', 'inherit'], env: { ...process.env, NODE_ENV: 'production' } })
  const [line] = await once(child.stdout, 'data')
  return { child, port: Number(String(line)) }
}

/** Requests a second over connections that are kept, each with one request under way. Loopback only, for a bounded time. */
async function load(port) {
  let count = 0
  let isOver = false
  const startedAt = performance.now()
  const request = Buffer.from('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
  const connections = Array.from({ length: CONNECTIONS }, () => {
    const socket = net.connect(port, '127.0.0.1', () => socket.write(request))
    socket.setNoDelay(true)
    // Bodies are two bytes, so an answer is one chunk that ends with them.
    socket.on('data', () => {
      count++
      if (!isOver) socket.write(request)
    })
    return socket
  })
  await new Promise((resolve) => setTimeout(resolve, ROUND_MS))
  const rate = count / ((performance.now() - startedAt) / 1000)
  isOver = true
  connections.forEach((socket) => socket.destroy())
  return rate
}
