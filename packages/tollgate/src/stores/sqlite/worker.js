// @ts-check
// The thread that holds the SQLite connection, so that waiting for the disk never holds the event loop.
import { createRequire } from 'node:module'
import { parentPort, workerData } from 'node:worker_threads'
import { Executor } from './executor.js'

/** @typedef {import('./executor.js').Op} Op */
/** @typedef {import('./executor.js').Connection} Connection */
/** @typedef {{ driver: string, path: string, synchronous: string, cacheKb: number }} Settings */

/** Short, since nobody can interrupt it: the other side asks again until its deadline. */
const BUSY_TIMEOUT_MS = 250
const OPEN_ATTEMPTS = 20

const port = /** @type {import('node:worker_threads').MessagePort} */ (parentPort)
const connection = open(workerData)
const executor = new Executor(connection)

port.on('message', (/** @type {{ id: number, ops: Op[] } | 'close'} */ message) => {
  if (message === 'close') {
    connection.close()
    port.close()
    return
  }
  const { rows, error } = executor.run(message.ops)
  port.postMessage({ id: message.id, rows, ...(error !== undefined && { error: plain(error) }) })
})

/** @param {Settings} settings @returns {Connection & { close(): void }} */
function open({ driver, path, synchronous, cacheKb }) {
  const Driver = createRequire(import.meta.url)(driver)
  const connection = new Driver(path, { timeout: BUSY_TIMEOUT_MS })
  connection.exec(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}; PRAGMA foreign_keys = ON; PRAGMA cache_size = -${cacheKb}`)
  // Readers of other processes do not wait for the writer. Two that open a new file at once refuse each other this.
  for (let attempt = 1; ; attempt++) {
    try {
      connection.exec('PRAGMA journal_mode = WAL')
      break
    } catch (error) {
      if (attempt === OPEN_ATTEMPTS) throw error
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5 * attempt)
    }
  }
  connection.exec(`PRAGMA synchronous = ${synchronous}`)
  return connection
}

/** Of errors of the drivers, structured clone would keep nothing. @param {unknown} error */
function plain(error) {
  const { message, code } = /** @type {{ message?: unknown, code?: unknown }} */ (error)
  return { message: String(message), ...(typeof code === 'string' && { code }) }
}
