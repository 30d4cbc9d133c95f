// What would be published: built files only, importable by types and by Node, with nothing missing.
import { spawnSync } from 'node:child_process'
import { readFileSync, readdirSync } from 'node:fs'

const PUBLISHED = readdirSync('packages').map((name) => `packages/${name}`)

let failures = 0
const run = (what, command, args, cwd) => {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd, encoding: 'utf8', shell: process.platform === 'win32' })
  if (status === 0) return stdout
  failures++
  console.error(`✗ ${what}\n${stdout}${stderr}`)
  return ''
}

for (const path of PUBLISHED) {
  const { name } = JSON.parse(readFileSync(`${path}/package.json`, 'utf8'))
  run(`publint ${name}`, 'npx', ['publint', '--strict', path])
  run(`types of ${name}`, 'npx', ['attw', '--pack', path, '--profile', 'esm-only'])
  const packed = run(`pack ${name}`, 'npm', ['pack', '--dry-run', '--json', '--loglevel=error'], path)
  const files = packed ? Object.values(JSON.parse(packed)).flatMap((pkg) => pkg.files ?? []) : []
  const stray = files.map((file) => file.path).filter((file) => /\.test\.|^src\/|^test\//.test(file))
  if (stray.length > 0) {
    failures++
    console.error(`✗ ${name} would publish ${stray.join(', ')}`)
  }
  console.log(`${name}: ${files.length} files`)
}
process.exit(failures === 0 ? 0 : 1)
