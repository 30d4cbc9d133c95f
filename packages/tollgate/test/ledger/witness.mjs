import fs from 'node:fs'

/**
 * What a process that may be killed at any moment is about to ask of the ledger, and what it was answered: a line each,
 * on the disk before anything follows from it. Of a killed process the last line may be torn, and does not count then.
 */
export class Witness {
  #file

  /** @param {string} path */
  constructor(path) {
    this.#file = fs.openSync(path, 'a')
    fs.writeSync(this.#file, '\n')
  }

  write(subject, facts) {
    fs.writeSync(this.#file, `${JSON.stringify({ subject, ...facts })}\n`)
    fs.fdatasyncSync(this.#file)
  }
}

export function stepsOf(path) {
  const subjects = new Map()
  for (const line of fs.existsSync(path) ? fs.readFileSync(path, 'utf8').split('\n') : []) {
    const { subject, ...facts } = parsed(line)
    if (subject === undefined) continue
    const steps = subjects.get(subject) ?? []
    subjects.set(subject, steps)
    if (facts.command) steps.push(facts)
    else Object.assign(steps.at(-1), facts)
  }
  return subjects
}

function parsed(line) {
  try {
    return JSON.parse(line)
  } catch {
    return {}
  }
}
