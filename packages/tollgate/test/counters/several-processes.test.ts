import { fork } from 'node:child_process'
import { existsSync } from 'node:fs'
import path from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { CellKind } from '../../src/decide/charge.ts'
import { SqlCounterStore } from '../../src/stores/sql/counters.ts'
import { chargeOf } from '../../src/testing/charges.ts'
import { DIALECTS, openedBy } from '../../src/testing/databases.ts'
import { StoreDriver } from '../../src/testing/driver.ts'
import { clusterUrl, redisUrl, uniquePrefix } from '../../src/testing/redis-servers.ts'

if (!existsSync(path.join(import.meta.dirname, '../../dist/stores/sql/counters.js'))) throw new Error('these tests run built code in processes of their own: npm run build')

/** Runs the program beside this file in a process of its own. It answers a message with how often each client was admitted. */
async function startProcess(config: object): Promise<(message: object) => Promise<number[]>> {
  const child = fork(path.join(import.meta.dirname, 'consume-process.mjs'), [JSON.stringify(config)], { execArgv: [] })
  onTestFinished(() => void child.kill('SIGKILL'))
  const answer = <T>(): Promise<T> =>
    new Promise((resolve, reject) => {
      const fail = (code: number | null): void => reject(new Error(`the process ended with ${code}`))
      child.once('exit', fail)
      child.once('message', (message) => {
        child.off('exit', fail)
        resolve(message as T)
      })
    })
  expect(await answer<string>()).toBe('ready')
  return (message) => {
    child.send(message)
    return answer<number[]>()
  }
}

async function admittedBy(processes: readonly ((message: object) => Promise<number[]>)[], message: object): Promise<number> {
  const admitted = await Promise.all(processes.map((ask) => ask(message)))
  return admitted.flat().reduce((sum, n) => sum + n, 0)
}

it.each(DIALECTS)('4 processes of 25 clients: exactly the limit is admitted (%s)', async (dialect) => {
  const { url, databases, drop } = await openedBy(1, dialect)
  const driver = new StoreDriver(new SqlCounterStore(databases[0]!), { now: () => 0, after: () => () => {} })
  const processes = await Promise.all(['a', 'b', 'c', 'd'].map((name) => startProcess({ dialect, url, name })))
  for (const limit of [1, 166]) {
    const subject = `busy ${limit}`
    expect(await admittedBy(processes, { subject, limit, clients: 25, asks: 3 })).toBe(limit)
    const quota = chargeOf({ cell: 'set/quota', kind: CellKind.quota, max: limit, startAt: 0, endAt: 4e12 })
    expect((await driver.check(subject, quota)).verdicts[0]).toMatchObject({ used: limit, passes: false })
  }
  await drop()
})

const ROUNDS = process.env['TOLLGATE_LONG'] ? 1000 : 60

it.each([['one Redis', redisUrl, ROUNDS], ['a cluster', clusterUrl, ROUNDS / 10]] as const)('4 processes of 50 clients on %s: exactly the limit is admitted in each of many rounds', { timeout: 1_200_000 }, async (_, urlOf, rounds) => {
  const url = await urlOf()
  const prefix = uniquePrefix()
  const processes = await Promise.all(['a', 'b', 'c', 'd'].map((name) => startProcess({ dialect: 'redis', url, name, prefix })))
  for (let round = 0; round < rounds; round++) {
    const limit = [1, 10, 1000][round % 3]!
    expect(await admittedBy(processes, { subject: `busy ${round}`, limit, clients: 50, asks: limit === 1000 ? 6 : 1 }), `round ${round}, limit ${limit}`).toBe(limit)
  }
})
