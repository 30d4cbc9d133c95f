import { invalidRequest, show } from '../../errors/index.ts'

/** Sums of money are whole numbers of 10^-12: a token may cost 0.00000015. */
const DECIMALS = 12
const ONE = 10n ** BigInt(DECIMALS)
/** Told to 10^-6. */
const TOLD = 10n ** BigInt(DECIMALS - 6)
const MAX = 1_000_000_000

/** @throws INVALID_REQUEST */
export function exact(value: number, field: string): bigint {
  if (!(typeof value === 'number' && value >= 0 && value <= MAX)) throw invalidRequest(field, `${show(value)} is not an amount of money; use a number from 0 to ${MAX}, such as 0.0005`)
  return BigInt(value.toFixed(DECIMALS).replace('.', ''))
}

export function multiply(a: bigint, b: bigint): bigint {
  return (a * b) / ONE
}

export function told(amount: bigint): number {
  const half = amount < 0n ? -TOLD / 2n : TOLD / 2n
  return Number((amount + half) / TOLD) / 1_000_000
}
