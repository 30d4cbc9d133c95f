import type { ServerOptions } from './server.ts'
import { openAiModel } from './models/openai.ts'
import { StartupError } from './startup-error.ts'

/** What a process is told by its environment. */
export interface Settings {
  readonly port: number
  readonly hostname: string
  readonly isDemo: boolean
  /** The key that the demo makes up, and says. */
  readonly isDemoKey: boolean
  readonly options: ServerOptions
}

export const DEFAULT_PORT = 4400
export const DEMO_KEY = 'demo-admin-key'
const MIN_KEY_LENGTH = 16

/** @throws StartupError that names the variable and the fix. */
export function settingsOf(env: Readonly<Record<string, string | undefined>>): Settings {
  const isDemo = isDemoOf(given(env, 'TOLLGATE_DEMO'))
  const adminKey = given(env, 'TOLLGATE_ADMIN_KEY') ?? (isDemo ? DEMO_KEY : undefined)
  if (!isDemo && adminKey !== undefined && (adminKey.length < MIN_KEY_LENGTH || adminKey === DEMO_KEY)) {
    throw new StartupError(`TOLLGATE_ADMIN_KEY is too easy to guess: use at least ${MIN_KEY_LENGTH} random characters, such as those of: openssl rand -base64 32`)
  }
  const secret = given(env, 'TOLLGATE_SECRET')
  const databaseUrl = given(env, 'DATABASE_URL')
  const redisUrl = given(env, 'REDIS_URL')
  const redisPrefix = given(env, 'TOLLGATE_REDIS_PREFIX')
  const analyticsDatabaseUrl = given(env, 'ANALYTICS_DATABASE_URL')
  return {
    port: portOf(given(env, 'PORT')),
    hostname: given(env, 'HOST') ?? '127.0.0.1',
    isDemo,
    isDemoKey: adminKey === DEMO_KEY,
    options: {
      ...(databaseUrl === undefined ? { dataDir: given(env, 'TOLLGATE_DATA_DIR') ?? './.tollgate/' } : { databaseUrl }),
      ...(redisUrl !== undefined && { redisUrl }),
      ...(redisPrefix !== undefined && { redisPrefix }),
      ...(analyticsDatabaseUrl !== undefined && { analyticsDatabaseUrl }),
      ...recordOf(env),
      ...(adminKey !== undefined && { adminKey }),
      ...(secret !== undefined && { secret }),
      ...(isDemo && { demo: demoOf(env) }),
    },
  }
}

/** What they may be is for the server to say. */
function recordOf(env: Readonly<Record<string, string | undefined>>): Pick<ServerOptions, 'timezone' | 'keepEventsDays' | 'archiveDir'> {
  const timezone = given(env, 'TOLLGATE_TIMEZONE')
  const keepEventsDays = given(env, 'TOLLGATE_KEEP_EVENTS_DAYS')
  const archiveDir = given(env, 'TOLLGATE_ARCHIVE_DIR')
  return {
    ...(timezone !== undefined && { timezone }),
    ...(keepEventsDays !== undefined && { keepEventsDays: daysOf(keepEventsDays) }),
    ...(archiveDir !== undefined && { archiveDir }),
  }
}

/** Whoever writes something else may mean either: a server that guesses would open its doors, or say nothing of the demo. */
function isDemoOf(value: string | undefined): boolean {
  if (value === undefined || value === '0') return false
  if (value === '1') return true
  throw new StartupError('TOLLGATE_DEMO is neither 1 nor 0: use 1 for demo mode (TOLLGATE_DEMO=1), 0 or nothing to leave it out')
}

function demoOf(env: Readonly<Record<string, string | undefined>>): NonNullable<Exclude<ServerOptions['demo'], boolean>> {
  const baseUrl = given(env, 'OPENAI_BASE_URL')
  if (baseUrl !== undefined && !URL.canParse(baseUrl)) throw new StartupError(`OPENAI_BASE_URL is not a URL: use one such as https://api.openai.com/v1`)
  const model = given(env, 'OPENAI_MODEL')
  const flag = env['CHAT_RATE_LIMITING_ENABLED']
  return {
    ...(baseUrl !== undefined && { model: openAiModel({ baseUrl, apiKey: given(env, 'OPENAI_API_KEY') }) }),
    ...(model !== undefined && { businessModel: model }),
    // Only `true` enables. Unset is on, because in a demo the limits are what there is to see.
    isBusinessLimited: flag === undefined || flag === 'true',
  }
}

/** Empty is unset: `PORT= npm start`. */
function given(env: Readonly<Record<string, string | undefined>>, name: string): string | undefined {
  const value = env[name]
  return value === '' ? undefined : value
}

function daysOf(text: string): number {
  if (/^\d{1,4}$/.test(text)) return Number(text)
  throw new StartupError('TOLLGATE_KEEP_EVENTS_DAYS is not a number of days: use an integer from 1 to 3650, such as TOLLGATE_KEEP_EVENTS_DAYS=90')
}

function portOf(text: string | undefined): number {
  if (text === undefined) return DEFAULT_PORT
  const port = Number(text)
  if (/^\d{1,5}$/.test(text) && port <= 65_535) return port
  throw new StartupError(`PORT is not a port: use an integer from 0 to 65535, such as PORT=${DEFAULT_PORT}`)
}
