import { randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { StartupError } from '../startup-error.ts'

/** At least this many characters, as `createTollgate` asks for. */
const MIN_LENGTH = 16

/** What keys the digests of contents: the folder's own, made at the first start. The caller holds the folder's lock. */
export function folderSecret(folder: string): string {
  const path = join(folder, 'secret')
  try {
    const secret = readFileSync(path, 'utf8').trim()
    if (secret.length >= MIN_LENGTH) return secret
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw new StartupError(`${path} cannot be read (${(error as Error).message}). Make it readable for this user, or set TOLLGATE_SECRET.`)
    const made = randomBytes(32).toString('base64url')
    writeFileSync(path, `${made}\n`, { mode: 0o600, flag: 'wx' })
    return made
  }
  throw new StartupError(`${path} holds fewer than ${MIN_LENGTH} characters. Restore it, remove it to get a new one (known duplicates are forgotten then), or set TOLLGATE_SECRET.`)
}
