// Random commands on a few subjects, each subject's one after another, until somebody kills this process. It first
// repeats, or takes back, what a killed process before it had no answer to. With `isLast` it ends after that.
import { setTimeout as delay } from 'node:timers/promises'
import { Random } from '../../dist/testing/random.js'
import { Commands } from './commands.mjs'
import { openLedger } from './open-ledger.mjs'
import { stepsOf, Witness } from './witness.mjs'

const MAX_LATE_MS = 20

const { path, subjects, seed, isLast, ...where } = JSON.parse(process.argv[2])
const past = stepsOf(path)
const witness = new Witness(path)
const ledger = await untilAnswered(() => openLedger(where))
await Promise.all(Array.from({ length: subjects }, (_, i) => work(`subject:${i}`, i)))
process.send('done')
process.disconnect()

async function work(subject, i) {
  const steps = past.get(subject) ?? []
  const last = steps.at(-1)
  const isMissing = last && !last.answer && !last.error
  if (isMissing) steps.pop()
  const commands = new Commands(i, steps)
  const ask = async (command) => {
    witness.write(subject, { command })
    commands.learn(await acknowledged(subject, command))
  }
  if (isMissing) {
    const { command } = last
    // Whoever does not know what became of a reservation asks again, or takes it back.
    const isTakenBack = (command.kind === 'hold' || command.kind === 'deduct') && Math.random() < 0.5
    if (isTakenBack) witness.write(subject, { error: 'not heard' })
    commands.learn(isTakenBack ? { command } : await acknowledged(subject, command))
    if (isTakenBack) await ask({ kind: 'cancel', id: command.id })
  }
  if (isLast) return
  for (;;) await ask(commands.next(new Random(seed + i * 1e6 + commands.count)))
}

async function acknowledged(subject, command) {
  const facts = await untilAnswered(() => ledger.run(subject, command)).then((answer) => ({ answer }), (error) => ({ error: error.code ?? String(error) }))
  // Half of the time, so that many a kill comes between a commit and its acknowledgement.
  if (Math.random() < 0.5) await delay(MAX_LATE_MS * Math.random())
  witness.write(subject, facts)
  process.send('acknowledged')
  return { command, ...facts }
}

/** A database that is down comes back. */
async function untilAnswered(ask) {
  for (;;) {
    try {
      return await ask()
    } catch (error) {
      if (error.code !== 'STORE_UNAVAILABLE') throw error
      await delay(10)
    }
  }
}
