import { z } from '@hono/zod-openapi'
import { cost } from './credits.ts'
import { amount, limitKind, max, name, SUBJECT_RULE, subjectName } from './values.ts'

const MAX_TTL_MS = 86_400_000

export const subjectParams = z.object({ subject: subjectName.openapi({ description: `Percent-encoded where needed: \`user:42\`. ${SUBJECT_RULE}`, example: 'user:42' }) })

const amounts = z.record(z.string().min(1).max(256), amount).openapi({ description: 'By meter: integers 0 … 2^31−1.', example: { tokens: 1200 } })

/** Checked here for its shape; names of plans, operations, meters and dimensions are checked by the engine, which knows them. */
export const request = z
  .strictObject({
    subject: subjectName.openapi({ description: `Who is limited. ${SUBJECT_RULE}`, example: 'user:42' }),
    plan: name.optional().openapi({ description: 'Default: the stored plan of the subject.', example: 'virtual-worlds/free' }),
    operation: name.optional().openapi({ example: 'message' }),
    dimensions: z.record(z.string().min(1).max(256), name).optional().openapi({ example: { world: 'w1' } }),
    content: z.string().optional().openapi({ description: 'Compared by the duplicate guard and never kept: at most 64 KiB.' }),
    amounts: amounts.optional(),
    current: z.record(z.string().min(1).max(256), amount).optional().openapi({ description: 'How many of a capacity limit exist already, by your own count.' }),
    also: z.array(z.union([subjectName, z.strictObject({ subject: subjectName, plan: name.optional() })], 'use a subject, or an object of subject and plan')).max(8).optional().openapi({ description: 'More subjects that must admit the request too.' }),
    idempotencyKey: name.optional().openapi({ description: 'As the header `Idempotency-Key`, which wins.' }),
    ttlMs: z.int().min(1).max(MAX_TTL_MS).optional().openapi({ description: 'How long a reservation holds; default 60000.' }),
    locale: z.string().min(1).max(100).optional().openapi({ description: 'Language of the messages; default by Accept-Language.', example: 'es' }),
  })
  .openapi('Request')

export const limitState = z
  .looseObject({
    limit: z.string().openapi({ description: 'Its name in the plan.' }),
    kind: limitKind,
    code: z.string(),
    max,
    used: z.number().openapi({ description: 'Open holds included; above `max` after a commit above its estimate.' }),
    remaining: max,
    resetAt: z.number().nullable().openapi({ description: 'Epoch ms.' }),
    retryAfterMs: z.number().nullable().openapi({ description: '0 where not violated, null where waiting does not help.' }),
    subject: z.string().optional().openapi({ description: 'Whose limit it is, where it is not the first subject.' }),
    partition: z.record(z.string(), z.string()).optional(),
    warning: z.literal(true).optional(),
  })
  .openapi('LimitState')

export const violation = limitState.extend({ message: z.string(), liftedBy: z.array(z.string()) }).openapi('Violation')

export const decision = z
  .looseObject({
    allowed: z.boolean(),
    subject: z.string(),
    plan: z.string(),
    mode: z.enum(['enforce', 'shadow', 'off']),
    degraded: z.boolean(),
    violations: z.array(violation),
    limits: z.array(limitState),
    credits: cost.optional().openapi({ description: 'Where the request costs some and no limit denied it before.' }),
    reservation: z.object({ id: z.string(), expiresAt: z.number() }).optional().openapi({ description: 'After an admitted `reserve`; and after a `consume` that took capacity, which is released by it, or credits, which are refunded.' }),
    decidedAt: z.number(),
    retryAfterMs: z.number().nullable(),
  })
  .openapi('Decision')

export const respondQuery = z.strictObject({
  respond: z.enum(['decision', 'status']).optional().openapi({ description: '`status` answers a denial with its HTTP status and a problem; default is 200 with the decision.' }),
})

/** What every decision tells in its headers. */
export const decisionHeaders = z.object({
  'RateLimit-Policy': z.string().optional().openapi({ description: 'The limits of the plan (draft-ietf-httpapi-ratelimit-headers-10).' }),
  RateLimit: z.string().optional().openapi({ description: 'How they stand.' }),
  'X-RateLimit-Limit': z.string().optional().openapi({ description: "Of the plan's headline limit; absent where it is unlimited." }),
  'X-RateLimit-Remaining': z.string().optional(),
  'X-RateLimit-Reset': z.string().optional().openapi({ description: 'Epoch seconds; milliseconds on the routes of the worlds.' }),
  'Retry-After': z.string().optional().openapi({ description: 'Whole seconds until the same request passes, after a denial that waiting ends.' }),
})

export const reservationParams = z.object({ id: name })
export const commitBody = z.strictObject({ amounts: amounts.optional() }).openapi('Commit')
export const releaseBody = z.strictObject({}).openapi('Release')
export const extendBody = z.strictObject({ ttlMs: z.int().min(1).max(MAX_TTL_MS) }).openapi('Extend')

export const settlement = z
  .object({
    id: z.string(),
    subject: z.string(),
    plan: z.string(),
    status: z.enum(['open', 'committed', 'released']),
    expiresAt: z.number(),
    settledAt: z.number().nullable(),
    amounts: z.record(z.string(), z.number()),
    late: z.boolean(),
  })
  .openapi('Settlement')
