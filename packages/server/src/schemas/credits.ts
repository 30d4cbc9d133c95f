import { z } from '@hono/zod-openapi'
import { amount, instant, name, text } from './values.ts'

const positive = amount.min(1)
const reason = text(1000).optional().openapi({ description: 'Told in the ledger, and erased with the subject.' })
const idempotencyKey = name.optional().openapi({ description: 'As the header `Idempotency-Key`, which wins.' })

export const grantBody = z
  .strictObject({
    amount: positive,
    source: z.enum(['pack', 'admin', 'promo']).optional().openapi({ description: 'What it was given for. Default `admin`. What plans grant has sources of its own.' }),
    priority: z.int().min(-(2 ** 31 - 1)).max(2 ** 31 - 1).optional().openapi({ description: 'Lower ones are spent first; default 0, as a plan’s.' }),
    effectiveAt: instant.optional().openapi({ description: 'From when it counts. Default: now.' }),
    expiresAt: instant.optional().openapi({ description: 'When what is left of it goes. Default: never.' }),
    reason,
    idempotencyKey,
  })
  .openapi('NewGrant')

export const refundBody = z
  .strictObject({
    reservation: name.openapi({ example: 'r_9f0c…' }),
    amount: positive.optional().openapi({ description: 'Default: all that is left to refund.' }),
    reason,
    idempotencyKey,
  })
  .openapi('NewRefund')

const count = z.int()

/** Of a subject that has an account. */
export const credits = z
  .object({
    balance: count.openapi({ description: 'Available and reserved. Negative after a commit that took more than there was.' }),
    available: count,
    reserved: count.openapi({ description: 'Held by open reservations.' }),
    spent: count.openapi({ description: 'In all its time, refunds deducted.' }),
  })
  .openapi('Credits')

const balance = credits
  .extend({ granted: count.openapi({ description: 'In all its time.' }), expired: count.openapi({ description: 'And taken back.' }) })
  .openapi('Balance')

export const granted = z.object({ grant: count.openapi({ description: 'Names it in the ledger.' }), balance }).openapi('Granted')

export const refunded = z.object({ refunded: count, balance }).openapi('Refunded')

/** Of a decision that costs something. */
export const cost = credits.extend({ cost: count, deficit: count.openapi({ description: 'What is missing; 0 when allowed.' }) }).openapi('Cost')

/** A query's numbers are texts. */
const integer = (min: number, max: number) =>
  z.string().regex(/^\d{1,16}$/, `use an integer from ${min} to ${max}`).transform(Number).refine((value) => value >= min && value <= max, `use an integer from ${min} to ${max}`)

export const ledgerQuery = z.strictObject({
  before: integer(1, Number.MAX_SAFE_INTEGER).optional().openapi({ type: 'integer', description: 'The `next` of the page before. Default: the newest.' }),
  limit: integer(1, 1000).optional().openapi({ type: 'integer', description: 'Default 100.' }),
})

export const ledger = z
  .object({
    entries: z.array(
      z
        .object({
          id: count,
          at: count,
          kind: z.enum(['grant', 'spend', 'refund', 'expire', 'void', 'repay']),
          amount: count.openapi({ description: 'What it adds; negative for what leaves.' }),
          balanceAfter: count,
          grant: count.nullable().openapi({ description: 'null is a debt: spent beyond all grants.' }),
          reservation: z.string().nullable(),
          operation: z.string().nullable(),
          reason: z.string().nullable(),
          actor: z.string().nullable().openapi({ description: 'The API key that asked for it, by id.' }),
        })
        .openapi('LedgerEntry'),
    ),
    next: count.nullable(),
  })
  .openapi('Ledger')
