import { CellKind, type Charge } from '../../decide/charge.ts'
import type { LimitShape } from './history.ts'

const nameOfKind = (kind: CellKind): string => Object.entries(CellKind).find(([, value]) => value === kind)![0]

export function describeLimit({ kind, windowMs, refill, max, isPartitioned, hasDigest }: LimitShape): string {
  const parts = [nameOfKind(kind), `max ${max.join(' or ')}`, `window ${windowMs} ms`]
  if (kind === CellKind.tokenBucket) parts.push(`refill ${refill}`)
  if (isPartitioned) parts.push('per world')
  if (hasDigest && kind === CellKind.slidingLog) parts.push('per text')
  return parts.join(', ')
}

export function describeCharge({ cell, amount, max, partition, digest }: Charge): string {
  const at = [partition, digest && `text ${digest.slice(0, 4)}`].filter(Boolean).join(' ')
  return `${amount}${max < 2 ** 31 - 1 ? ` of ${max}` : ''} in ${cell.split(':')[0]!.replace('play/', 'limit ')}${at && ` (${at})`}`
}
