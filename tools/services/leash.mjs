import { spawn } from 'node:child_process'

/**
 * A program that ends with us, even when we are killed: a shell holds the other end of our pipe, and ends the program
 * when the pipe closes. So no test run leaves a server behind. The program inherits neither stdin nor stdout: one that
 * kept our stdout open would hang `npm test | tail`.
 *
 * @param {'TERM' | 'INT'} signal how the program likes to be asked to end
 * @param {string} command
 * @param {readonly (string | number)[]} args
 * @param {import('node:child_process').SpawnOptions} [options]
 */
export function leash(signal, command, args, options = {}) {
  const script = `"$@" </dev/null & p=$!; read -r s; kill -"\${s:-${signal}}" $p 2>/dev/null; wait $p`
  const child = spawn('sh', ['-c', script, 'leash', command, ...args.map(String)], { ...options, stdio: ['pipe', 'ignore', 'pipe'] })
  return {
    child,
    /** Asks the program to end, or with KILL ends it, and resolves when it has. @param {'KILL'} [instead] */
    stop: (instead) =>
      new Promise((resolve) => {
        if (child.exitCode !== null) return resolve(undefined)
        child.once('exit', resolve)
        child.stdin.end(instead && `${instead}\n`)
      }),
  }
}
