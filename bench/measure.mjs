import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** The machine is noisy: what is compared runs in one round, close in time, and the middle of many rounds counts. */

export function median(values) {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** The median over rounds of `a` divided by the `b` of the same round. */
export function medianRatio(a, b) {
  return median(a.map((value, round) => value / b[round]))
}

/** The same items in another order each time, so that none always follows the same one. */
export function shuffled(items) {
  const copy = [...items]
  for (let i = copy.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1))
    ;[copy[i], copy[j]] = [copy[j], copy[i]]
  }
  return copy
}

/**
 * Runs all cases once a round; the first `warmUps` rounds do not count.
 * @returns per case name, the results of `measure` by round
 */
export async function interleave(cases, { rounds, warmUps, measure }) {
  const results = Object.fromEntries(cases.map(({ name }) => [name, []]))
  for (let round = -warmUps; round < rounds; round++) {
    for (const each of shuffled(cases)) {
      const result = await measure(each)
      if (round >= 0) results[each.name].push(result)
    }
  }
  return results
}

/** Nanoseconds per call of a loop of `count`. */
export async function nanosecondsPer(count, run) {
  globalThis.gc?.({ type: 'minor' })
  const startedAt = process.hrtime.bigint()
  await run(count)
  return Number(process.hrtime.bigint() - startedAt) / count
}

/** What a script in this folder prints as JSON, run in a process of its own. */
export function inChild(script, args, nodeOptions = []) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [...nodeOptions, fileURLToPath(new URL(script, import.meta.url)), ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
    let output = ''
    child.stdout.on('data', (chunk) => (output += chunk))
    child.on('error', reject)
    child.on('close', (code) => (code === 0 ? resolve(JSON.parse(output)) : reject(new Error(`${script} ${args.join(' ')} ended with code ${code}`))))
  })
}
