import { startPostgres } from './services/postgres.mjs'

/**
 * The servers of a test run: each once, in well under a second.
 * @param {import('vitest/node').TestProject} project
 */
export default async function setup(project) {
  const postgres = process.env.POSTGRES_URL ? undefined : await startPostgres()
  project.provide('postgresUrl', process.env.POSTGRES_URL || postgres.url)
  return () => postgres?.stop()
}
