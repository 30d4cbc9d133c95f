/** (c) What limits add to a request over HTTP: each framework bare, with its own limiter's one limit, with our six. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { fileURLToPath } from 'node:url'
import { interleave, median } from './measure.mjs'

const PEERS = { fastify: '@fastify/rate-limit', hono: 'hono-rate-limiter', express: 'express-rate-limit' }
const LIMITED = ['bare', 'peer', 'ours']
const ROUNDS = 25
const ROUND_MS = 400
const USERS = 10_000
/** Enough that the server, on a core of its own, is never idle. */
const CONNECTIONS = 8
const PIPELINED = 8

export async function http() {
  const rows = []
  const goals = []
  for (const framework of Object.keys(PEERS)) {
    const { rates, cpu } = await measure(framework)
    const added = (limited, samples) => median(samples[limited].map((value, round) => value - samples.bare[round]))
    const wall = Object.fromEntries(LIMITED.map((limited) => [limited, rates[limited].map((rate) => 1e6 / rate)]))
    for (const limited of LIMITED) {
      const name = { bare: framework, peer: `${framework} with ${PEERS[framework]}, one limit`, ours: `${framework} with tollgate, six limits` }[limited]
      const isBare = limited === 'bare'
      rows.push([name, Math.round(median(rates[limited])), isBare ? null : round1(added(limited, wall)), isBare ? null : round1(added(limited, cpu))])
    }
    goals.push({ what: `time that six limits add to ${framework}, against one of ${PEERS[framework]}`, goal: 1, is: added('ours', wall) / added('peer', wall) })
    goals.push({ what: 'the same, in CPU time of the server', goal: 1, is: added('ours', cpu) / added('peer', cpu) })
  }
  return { columns: ['HTTP', 'requests/s', 'µs added', 'µs of CPU added'], rows, goals, facts: [] }
}

const round1 = (value) => Math.round(value * 10) / 10

/** The servers of a framework stand side by side and are asked in turn. */
export async function measure(framework, variants = LIMITED) {
  const servers = await Promise.all(variants.map((name) => start(framework, name)))
  try {
    const results = await interleave(servers, { rounds: ROUNDS, warmUps: 4, measure: load })
    const pick = (what) => Object.fromEntries(variants.map((name) => [name, results[name].map((result) => result[what])]))
    return { rates: pick('rate'), cpu: pick('cpuMicroseconds') }
  } finally {
    for (const { child } of servers) child.disconnect()
  }
}

async function start(framework, name) {
  const child = fork(fileURLToPath(new URL('http-server.mjs', import.meta.url)), [framework, name])
  const [{ port }] = await once(child, 'message')
  return { name, child, port }
}

/** Requests for a while, over connections that stay open. */
async function load({ child, port }) {
  const cpuBefore = await cpuOf(child)
  const startedAt = performance.now()
  const endsAt = startedAt + ROUND_MS
  const counts = await Promise.all(Array.from({ length: CONNECTIONS }, (_, i) => ask(port, i, endsAt)))
  const seconds = (performance.now() - startedAt) / 1000
  const requests = counts.reduce((a, b) => a + b)
  return { rate: requests / seconds, cpuMicroseconds: (await cpuOf(child) - cpuBefore) / requests }
}

async function cpuOf(child) {
  child.send('cpu')
  const [{ cpu }] = await once(child, 'message')
  return cpu.user + cpu.system
}

/** Batches of requests as written to the socket: a few users each, all of them in turn. */
const batches = Array.from({ length: USERS / PIPELINED }, (_, batch) =>
  Buffer.from(Array.from({ length: PIPELINED }, (_, i) => `GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nx-user: user:${batch * PIPELINED + i}\r\n\r\n`).join('')),
)
let nextBatch = 0

const STATUS_LINE = Buffer.from('HTTP/1.1 ')
const OK = Buffer.from('200')

/** A batch is sent when all of the one before it has been answered. Resolves to the number of answers. */
function ask(port, _connection, endsAt) {
  return new Promise((resolve, reject) => {
    let answered = 0
    let awaited = 0
    let rest = Buffer.alloc(0)
    const send = () => {
      if (performance.now() >= endsAt) return socket.destroy()
      awaited += PIPELINED
      socket.write(batches[nextBatch++ % batches.length])
    }
    const socket = connect(port, '127.0.0.1', send)
    socket.setNoDelay(true)
    socket.on('data', (chunk) => {
      const data = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk
      let from = 0
      for (let at = data.indexOf(STATUS_LINE); at >= 0 && at + 12 <= data.length; at = data.indexOf(STATUS_LINE, from)) {
        if (data.compare(OK, 0, 3, at + 9, at + 12) !== 0) return socket.destroy(new Error(`port ${port} answered ${data.toString('latin1', at, at + 200)}`))
        answered++
        from = at + 12
      }
      // A status line can be cut in two.
      rest = data.subarray(Math.max(from, data.length - 11))
      if (answered === awaited) send()
    })
    socket.on('error', reject)
    socket.on('close', () => resolve(answered))
  })
}
