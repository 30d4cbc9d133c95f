import { spawnSync } from 'node:child_process'
import fs from 'node:fs'

/**
 * Processes that run on this machine; those that have ended and wait for their parent to notice are not among them.
 * @returns {{ pid: number, parent: number }[]}
 */
export function runningProcesses() {
  // Where there is a /proc there need not be a ps.
  const all = fs.existsSync('/proc/self/stat') ? fromProc() : fromPs()
  return all.filter(({ state }) => !/^[ZX]/.test(state)).map(({ pid, parent }) => ({ pid, parent }))
}

function fromProc() {
  return fs.readdirSync('/proc').flatMap((name) => {
    try {
      // `pid (name) state parent …`, and a name may hold anything.
      const stat = fs.readFileSync(`/proc/${Number(name)}/stat`, 'utf8')
      const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
      return [{ pid: Number(name), parent: Number(parent), state }]
    } catch {
      return []
    }
  })
}

function fromPs() {
  const { stdout } = spawnSync('ps', ['-A', '-o', 'pid=,ppid=,state='], { encoding: 'utf8' })
  return stdout.trim().split('\n').map((line) => {
    const [pid, parent, state] = line.trim().split(/\s+/)
    return { pid: Number(pid), parent: Number(parent), state }
  })
}
