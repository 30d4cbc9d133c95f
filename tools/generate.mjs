// Writes the generated files anew; with --check, says whether they are current and changes nothing.
import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** Each script writes one file. */
const GENERATED = [
  { script: 'tools/generate-confusables.mjs', file: 'packages/tollgate/src/content/confusables.generated.ts' },
  { script: 'tools/generate-migrations.mjs', file: 'packages/tollgate/src/stores/sql/migrations.generated.ts' },
  { script: 'tools/generate-lua.mjs', file: 'packages/tollgate/src/stores/redis/scripts.generated.ts' },
]

const root = fileURLToPath(new URL('..', import.meta.url))
const isCheck = process.argv.includes('--check')
let stale = 0
for (const { script, file } of GENERATED) {
  const before = readFileSync(root + file, 'utf8')
  const { status } = spawnSync(process.execPath, [script], { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] })
  if (status !== 0) process.exit(1)
  const isStale = readFileSync(root + file, 'utf8') !== before
  if (isCheck && isStale) {
    writeFileSync(root + file, before)
    stale++
  }
  console.log(`${file}: ${isStale ? (isCheck ? 'stale; run npm run generate' : 'written') : 'current'}`)
}
process.exit(stale === 0 ? 0 : 1)
