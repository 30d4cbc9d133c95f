/** `npm run bench [-- memory|heap|http|ledger|record|redis|outage …]`: measures against peers in one run, prints tables and keeps them. */
import { readFileSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import { heap } from './heap.mjs'
import { http } from './http.mjs'
import { ledger } from './ledger.mjs'
import { memory } from './memory.mjs'
import { record } from './record.mjs'
import { outage } from './outage.mjs'
import { redis } from './redis.mjs'

const PARTS = { memory, heap, http, ledger, record, redis, outage }
const RESULTS = new URL('results.json', import.meta.url)
const REPORT = new URL('RESULTS.md', import.meta.url)

const names = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(PARTS)
const results = read()
for (const name of names) {
  console.error(`measuring ${name} …`)
  results[name] = { date: new Date().toISOString().slice(0, 10), ...(await PARTS[name]()) }
}
results.machine = `${os.cpus().length} × ${os.cpus()[0].model.trim()}, Node ${process.version}`
writeFileSync(RESULTS, `${JSON.stringify(results, null, 2)}\n`)
const report = render(results)
writeFileSync(REPORT, report)
console.log(report)
process.exit(0)

function read() {
  try {
    return JSON.parse(readFileSync(RESULTS, 'utf8'))
  } catch {
    return {}
  }
}

function render({ machine, ...parts }) {
  const sections = Object.keys(PARTS).filter((name) => parts[name]).map((name) => section(parts[name]))
  return `# Benchmark results\n\nWritten by \`npm run bench\`. ${machine}. The machine is shared and noisy: trust the ratios, which compare rounds close in\ntime, more than the absolute figures. Ratios are medians over rounds.\n\n${sections.join('\n')}`
}

function section({ date, columns, rows, goals, facts }) {
  const verdict = ({ goal, is, atLeast }) => ((atLeast ? is >= goal : is <= goal) ? 'met' : '**missed**')
  return [
    table([`${columns[0]} (${date})`, ...columns.slice(1)], rows),
    table(['goal', 'set', 'is', ''], goals.map((each) => [each.what, `${each.atLeast ? 'at least' : 'at most'} ${each.goal}`, show(each.is), verdict(each)])),
    facts.length > 0 ? table(['besides', 'ratio'], facts.map(({ what, is }) => [what, show(is)])) : '',
  ].filter(Boolean).join('\n')
}

function show(value) {
  return value < 20 ? value.toFixed(2) : Math.round(value)
}

function table(head, rows) {
  const line = (cells) => `| ${cells.map((cell) => cell ?? '').join(' | ')} |`
  return `${[line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')}\n`
}
