/** `node million.mjs CONTENDER heap|speed`: a million users each ask once; then what they take, or what another decision costs. */
import { contenders, isSynchronous } from './contenders.mjs'
import { nanosecondsPer, shuffled } from './measure.mjs'
import { awaitAll, decideAll } from './memory.mjs'

const USERS = 1_000_000
const DECISIONS = 500_000

const [name, what] = process.argv.slice(2)
const decide = contenders[name]()

const before = what === 'heap' ? heldBytes() : 0
for (let i = 0; i < USERS; i++) {
  const answer = decide(`user:${i}`, i)
  if (!isSynchronous(name)) await answer
}
if (what === 'heap') {
  report({ bytes: (heldBytes() - before) / USERS })
} else {
  // Strings of their own: a request never brings the very string that the store keeps.
  const users = shuffled(Array.from({ length: USERS }, (_, i) => `user:${i}`)).slice(0, DECISIONS)
  report({ nanoseconds: await nanosecondsPer(DECISIONS, (count) => (isSynchronous(name) ? decideAll(decide, users, count) : awaitAll(decide, users, count))) })
}

/** Objects and typed arrays, after everything unreachable has been collected. */
function heldBytes() {
  for (let i = 0; i < 3; i++) globalThis.gc()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

function report(result) {
  // Timers of the peers must not keep the process.
  process.stdout.write(JSON.stringify(result), () => process.exit(0))
}
