import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect, it } from 'vitest'
import { leash } from './leash.mjs'
import { freePorts, isFree } from './ports.mjs'

const LISTENER = `require('net').createServer().listen(Number(process.argv[1]), '127.0.0.1', () => process.stderr.write('ready'))`

it('stops the program and waits for it', async () => {
  const [port] = await freePorts(1)
  const { child, stop } = leash('TERM', process.execPath, ['-e', LISTENER, port])
  await once(child.stderr, 'data')
  expect(await isFree(port)).toBe(false)
  await stop()
  expect(await isFree(port)).toBe(true)
})

it('ends the program at once, whatever it does about signals', async () => {
  const [port] = await freePorts(1)
  const { child, stop } = leash('TERM', process.execPath, ['-e', `process.on('SIGTERM', () => {}); ${LISTENER}`, port])
  await once(child.stderr, 'data')
  await stop('KILL')
  expect(await isFree(port)).toBe(true)
})

it('ends the program when its owner is killed', async () => {
  const [port] = await freePorts(1)
  const owner = `
    import { leash } from ${JSON.stringify(new URL('./leash.mjs', import.meta.url).href)}
    const { child } = leash('TERM', process.execPath, ['-e', ${JSON.stringify(LISTENER)}, ${port}])
    child.stderr.once('data', () => process.stdout.write('ready'))`
  const child = spawn(process.execPath, ['--input-type=module', '-e', owner])
  await once(child.stdout, 'data')
  child.kill('SIGKILL')
  await expect.poll(() => isFree(port)).toBe(true)
})

it('gives different ports', async () => {
  expect(new Set(await freePorts(20)).size).toBe(20)
})
