// @ts-check
// The thread that holds the SQLite connection, so that waiting for the disk never holds the event loop.
import { createRequire } from 'node:module'
import { parentPort, workerData } from 'node:worker_threads'
import { Executor } from './executor.js'

/** @typedef {import('./executor.js').Op} Op */
/** @typedef {{ driver: string, path: string, busyTimeoutMs: number, synchronous: string, cacheKb: number }} Settings */

const port = /** @type {import('node:worker_threads').MessagePort} */ (parentPort)
const settings = /** @type {Settings} */ (workerData)

const connection = open()
const executor = new Executor(connection)

port.on('message', (/** @type {{ id: number, ops: Op[] } | 'close'} */ message) => {
  if (message === 'close') {
    connection.close()
    port.close()
    return
  }
  const { rows, error } = executor.run(message.ops)
  port.postMessage({ id: message.id, rows, ...(error === undefined ? {} : { error: plain(error) }) })
})

function open() {
  const Driver = createRequire(import.meta.url)(settings.driver)
  const connection = new Driver(settings.path, { timeout: settings.busyTimeoutMs })
  connection.exec(`PRAGMA busy_timeout = ${settings.busyTimeoutMs}`)
  // WAL: readers of other processes do not wait for the writer.
  connection.prepare('PRAGMA journal_mode = WAL').all()
  connection.exec(`PRAGMA synchronous = ${settings.synchronous}`)
  connection.exec('PRAGMA foreign_keys = ON')
  connection.exec(`PRAGMA cache_size = -${settings.cacheKb}`)
  return connection
}

/** Structured clone would drop an error's code. @param {unknown} error */
function plain(error) {
  const { name, message, code } = /** @type {Error & { code?: string }} */ (error)
  return { name, message, code }
}
