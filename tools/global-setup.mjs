import { once } from 'node:events'
import { createServer } from 'node:http'
import { startPostgres } from './services/postgres.mjs'

/**
 * The servers of a test run: each is started once, by the first test file that asks for it here, so that a run of other
 * tests does not wait for any.
 * @param {import('vitest/node').TestProject} project
 */
export default async function setup(project) {
  let starting
  const launcher = createServer(async (_, response) => {
    try {
      starting ??= startPostgres()
      response.end((await starting).url)
    } catch (error) {
      response.writeHead(500).end(String(error))
    }
  })
  launcher.listen(0, '127.0.0.1')
  await once(launcher, 'listening')
  project.provide('postgresLauncher', `http://127.0.0.1:${launcher.address().port}`)
  return async () => {
    launcher.close()
    launcher.closeAllConnections()
    const postgres = await starting?.catch(() => undefined)
    await postgres?.stop()
  }
}
