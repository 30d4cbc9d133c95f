import { TollgateError } from 'tollgate'
import { DEMO_KEY, type Settings, settingsOf } from './environment.ts'
import { createServer, type ServerOptions, type TollgateServer } from './server.ts'
import { StartupError } from './startup-error.ts'
import { jsonLog } from './log/log.ts'

export interface ServeOptions extends ServerOptions {
  /** Default: `process.env`. */
  env?: Readonly<Record<string, string | undefined>>
}

/**
 * Runs a server as this process, as its environment says, until SIGINT or SIGTERM: then requests under way finish and the
 * process ends with 0. A second signal ends it at once. A server that cannot start says why, and the process ends with 1.
 */
export async function serve({ env = process.env, ...more }: ServeOptions = {}): Promise<void> {
  const log = more.log ?? jsonLog()
  try {
    const settings = settingsOf(env)
    const server = await createServer({ ...settings.options, log, ...more })
    endOnSignal(server)
    await start(server, settings)
  } catch (error) {
    if (!isForOperator(error)) throw error
    process.stderr.write(`\n${error.message}\n\n`)
    process.exitCode = 1
  }
}

/** Errors that say what to do; anything else is a bug, and shown with its stack. */
function isForOperator(error: unknown): error is Error {
  return error instanceof StartupError || (TollgateError.isInstance(error) && error.code === 'INVALID_DEFINITION')
}

async function start(server: TollgateServer, settings: Settings): Promise<void> {
  try {
    if (!server.hasAdmin) throw new StartupError('Nobody could use this server: it has no admin key. Set TOLLGATE_ADMIN_KEY, for example to the output of: openssl rand -base64 32')
    const { url } = await server.listen(settings)
    process.stdout.write(settings.isDemo ? demoGreeting(url, settings) : `Tollgate listens on ${url}\n`)
  } catch (error) {
    await server.close()
    throw error
  }
}

function endOnSignal(server: TollgateServer): void {
  let isEnding = false
  const end = (signal: 'SIGINT' | 'SIGTERM') => {
    // The shell's convention: 128 and the signal's number.
    if (isEnding) process.exit(signal === 'SIGINT' ? 130 : 143)
    isEnding = true
    process.stdout.write('Stopping: requests under way may finish. Once more to stop at once.\n')
    server.close().then(
      () => process.exit(0),
      (error: unknown) => {
        process.stderr.write(`The server did not close well: ${String(error)}\n`)
        process.exit(1)
      },
    )
  }
  process.on('SIGINT', () => end('SIGINT'))
  process.on('SIGTERM', () => end('SIGTERM'))
  // Whoever read the log has gone: that is no reason to stop deciding.
  process.stdout.on('error', () => {})
}

function placeOf({ databaseUrl, redisUrl, dataDir }: ServerOptions): string {
  const place = databaseUrl !== undefined ? 'the database of DATABASE_URL' : (dataDir ?? 'memory')
  if (redisUrl !== undefined) return `${place}; limits are counted in the Redis of REDIS_URL`
  return databaseUrl !== undefined ? place : `${place}; rates and cooldowns go with the process`
}

function demoGreeting(url: string, { isDemoKey, options }: Settings): string {
  // In single quotes the shell would send the variable's name.
  const authorization = isDemoKey ? `'Authorization: Bearer ${DEMO_KEY}'` : '"Authorization: Bearer $TOLLGATE_ADMIN_KEY"'
  return `
  Tollgate is ready: ${url}

  This is demo mode: it believes the headers X-Demo-User, X-Demo-Plan and X-Demo-Role,
  answers to this machine only, and its clock can be put forward. Not for production.
  ${isDemoKey ? `The admin key is "${DEMO_KEY}".` : 'The admin key is the one of TOLLGATE_ADMIN_KEY.'} Credits, plans,
  what quotas counted, reservations, keys, rollout and clock are kept in ${placeOf(options)}.

  Try it:
    curl -i ${url}/api/worlds/w1/message -H 'X-Demo-User: ana' -H 'Content-Type: application/json' -d '{"content":"hola"}'
    curl -s ${url}/v1/subjects/worlds:ana/usage -H ${authorization}
    curl -s -X PUT ${url}/v1/subjects/telegram:ana -H ${authorization} -H 'Content-Type: application/json' -d '{"plan":"telegram-bot/Professional"}'
    curl -s ${url}/v1/consume -H ${authorization} -H 'Content-Type: application/json' -d '{"subject":"telegram:ana","operation":"image_generation"}'
    curl -s ${url}/v1/subjects/telegram:ana/ledger -H ${authorization}
    curl -s ${url}/demo/clock -H 'Content-Type: application/json' -d '{"advanceMs":86400000}'

`
}
