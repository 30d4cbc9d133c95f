import type { ChildProcess, SpawnOptions } from 'node:child_process'

export function leash(signal: 'TERM' | 'INT', command: string, args: readonly (string | number)[], options?: SpawnOptions): { child: ChildProcess; stop(instead?: 'KILL'): Promise<unknown> }
