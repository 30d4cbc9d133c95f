import { accessSync, constants, mkdirSync } from 'node:fs'
import { resolve } from 'node:path'
import { StartupError } from '../startup-error.ts'

/** How usage is summed up, and what becomes of single events. */
export interface RecordOptions {
  /** Where days begin: an IANA name. Default `UTC`. What was summed up before stays as it is. */
  readonly timezone?: string | undefined
  /** Days that single events are kept. Default 90. */
  readonly keepEventsDays?: number | undefined
  /** Where events that are older go, as files, before they are deleted. Default: nowhere. */
  readonly archiveDir?: string | undefined
}

export const KEEP_EVENTS_DAYS = 90
const MAX_KEEP_EVENTS_DAYS = 3650

/** @throws StartupError that names the variable and the fix */
export function checkRecordOptions({ timezone = 'UTC', keepEventsDays = KEEP_EVENTS_DAYS, archiveDir }: RecordOptions): void {
  if (!isTimezone(timezone)) throw new StartupError(`'${timezone}' is not a time zone: set TOLLGATE_TIMEZONE to an IANA name such as Europe/Madrid or UTC, or leave it out for UTC.`)
  if (!(Number.isInteger(keepEventsDays) && keepEventsDays >= 1 && keepEventsDays <= MAX_KEEP_EVENTS_DAYS)) throw new StartupError(`${keepEventsDays} is not a number of days: set TOLLGATE_KEEP_EVENTS_DAYS to an integer from 1 to ${MAX_KEEP_EVENTS_DAYS}, or leave it out for ${KEEP_EVENTS_DAYS}.`)
  if (archiveDir !== undefined) checkFolder(resolve(archiveDir))
}

/** Newer runtimes take '+01:00' for one, Node 20 does not. */
function isTimezone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name }).format()
    return /^[a-z]/i.test(name)
  } catch {
    return false
  }
}

function checkFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    accessSync(folder, constants.W_OK)
  } catch (error) {
    throw new StartupError(`The archive folder ${folder} cannot be written to (${(error as Error).message}). Set TOLLGATE_ARCHIVE_DIR to a folder that this user may write to, or leave it out.`)
  }
}
