// Many clients in one process, all on one subject: each tries its operations one after another.
import { openLedger } from './open-ledger.mjs'

const { subject, name, clients, operations, ...where } = JSON.parse(process.argv[2])
const ledger = await openLedger(where)
process.send('ready')
process.once('message', async () => process.send(await Promise.all(Array.from({ length: clients }, (_, client) => tries(client)))))

/** @param {number} client @returns {Promise<number>} how many of its operations there were credits for */
async function tries(client) {
  let succeeded = 0
  for (let i = 0; i < operations; i++) {
    const id = `${name} ${client} ${i}`
    // Half of them at once, half by a hold.
    const isAllowed = client % 2 === 0 ? await deduct(id) : await holdAndCommit(id)
    if (isAllowed) succeeded++
  }
  return succeeded
}

async function deduct(id) {
  return (await ledger.run(subject, { kind: 'deduct', id, amount: 1 })).ok
}

async function holdAndCommit(id) {
  const { ok } = await ledger.run(subject, { kind: 'hold', id, amount: 1, ttlMs: 60_000 })
  return ok && (await ledger.run(subject, { kind: 'commit', id, overage: { policy: 'deny' } })).ok
}
