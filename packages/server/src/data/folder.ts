import { mkdirSync } from 'node:fs'
import { resolve } from 'node:path'
import { StartupError } from '../startup-error.ts'
import { lockFolder } from './lock.ts'
import { folderSecret } from './secret.ts'
import { openState, type StateStore } from './state.ts'

/** An open data folder: locked until it is closed. */
export interface DataFolder {
  readonly path: string
  readonly state: StateStore
  readonly secret: () => string
  close(): void
}

/** @throws StartupError that names the file and the fix. */
export function openFolder(path: string): DataFolder {
  const folder = resolve(path)
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
  } catch (error) {
    throw new StartupError(`The data folder ${folder} cannot be made (${(error as Error).message}). Set TOLLGATE_DATA_DIR to a folder that this user may write to.`)
  }
  const unlock = lock(folder)
  try {
    return { path: folder, state: openState(folder), secret: () => folderSecret(folder), close: unlock }
  } catch (error) {
    unlock()
    throw error
  }
}

function lock(folder: string): () => void {
  try {
    return lockFolder(folder)
  } catch (error) {
    if (error instanceof StartupError) throw error
    throw new StartupError(`The data folder ${folder} cannot be written to (${(error as Error).message}). Set TOLLGATE_DATA_DIR to a folder that this user may write to.`)
  }
}
