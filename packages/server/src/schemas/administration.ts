import { z } from '@hono/zod-openapi'
import { SCOPES } from '../auth/keys.ts'
import { credits } from './credits.ts'
import { decision, limitState } from './decisions.ts'
import { amount, instant, name, namespace } from './values.ts'

/** The operator's own facts about a subject. */
const attributes = z
  .record(z.string().min(1).max(64), z.union([z.string().max(1024), z.number(), z.boolean(), z.null()], 'use a text of up to 1024 characters, a number, true, false or null'))
  .refine((record) => Object.keys(record).length <= 50, 'use at most 50')
  .openapi({ description: 'Never interpreted: at most 50, names up to 64 and texts up to 1024 characters.' })

const overrides = z.record(z.string().min(1).max(256), amount.nullable()).openapi({ description: 'Limits of its own, by name, in place of those of the plan; null is unlimited.', example: { monthlyTokens: 25_000_000 } })

const change = z
  .strictObject({
    at: z.enum(['now', 'periodEnd']).optional().openapi({ description: '`now` (default), or when the running period of the plan’s credits ends: then `nextPlan` says so until it comes. A PUT in between takes its place.' }),
    proration: z.enum(['restart', 'prorate']).optional().openapi({ description: 'Of a change at once. `restart` (default): a new period with a whole allowance begins. `prorate`: the period goes on, and the difference is granted, or taken back, for what is left of it.' }),
    leftover: z.enum(['keep', 'void']).optional().openapi({ description: 'What is left of the allowance before: stays to the end of its period (default), or goes.' }),
  })
  .openapi('PlanChange', { description: 'What the change of plan does to credits.' })

export const subjectBody = z
  .strictObject({
    subject: name.optional().openapi({ description: 'As in the path, so that what GET gave can be sent back.' }),
    plan: name.openapi({ example: 'virtual-worlds/plus' }),
    anchorAt: instant.nullable().optional().openapi({ description: 'From when its own periods count. null removes it.' }),
    team: name.nullable().optional().openapi({ description: 'null removes it.' }),
    attributes: attributes.nullable().optional().openapi({ description: 'All of them, in place of those that were stored; null removes them.' }),
    overrides: overrides.nullable().optional().openapi({ description: 'All of them, in place of those that were stored; null removes them.' }),
    change: change.optional(),
  })
  .openapi('SubjectFacts')

export const subject = z
  .object({ subject: name, plan: name, nextPlan: z.object({ plan: name, at: z.number(), overrides: overrides.optional() }).optional().openapi({ description: 'The plan from `at` on, with limits of its own.' }), anchorAt: instant.optional(), team: name.optional(), attributes: attributes.optional(), overrides: overrides.optional() })
  .openapi('Subject')

export const usageQuery = z.strictObject({ plan: name.optional().openapi({ description: 'Default: the stored plan, else the one of its last admitted request.' }) })

export const usage = z
  .object({
    subject: z.string(),
    plan: z.string().nullable().openapi({ description: 'null of a subject that has credits and nothing else.' }),
    limits: z.array(limitState),
    // Not `nullable()`: of a schema with a name that would be described as never null.
    credits: z.union([credits, z.null()]).openapi({ description: 'null of a subject that never had any.' }),
  })
  .openapi('Usage')

export const resetBody = z.strictObject({ limit: name.optional().openapi({ description: 'Default: all.' }) }).openapi('Reset')

export const explanation = z
  .object({
    decision,
    planSource: z.enum(['request', 'subject', 'default']),
    rules: z.array(z.object({ limit: z.string(), kind: z.string(), applies: z.boolean(), passes: z.boolean(), reason: z.string(), state: limitState.optional() })),
  })
  .openapi('Explanation')

export const plans = z
  .object({
    plans: z.array(
      z.object({
        id: z.string().openapi({ example: 'virtual-worlds/free' }),
        rank: z.int(),
        price: z.object({ amount: z.number(), currency: z.string(), every: z.union([z.string(), z.number()]) }).nullable(),
        limits: z.record(z.string(), z.looseObject({ kind: z.string() })).openapi({ description: 'As they were defined.' }),
        headline: z.string().nullable().openapi({ description: 'The limit that X-RateLimit-* speaks of.' }),
        credits: z
          .looseObject({
            grant: z.number(),
            every: z.union([z.string(), z.number()]),
            timezone: z.string().optional(),
            anchor: z.enum(['subject', 'calendar']).optional(),
            rollover: z.object({ max: z.number() }).optional(),
            requires: z.string().optional(),
            softLimit: z.number().optional(),
            priority: z.number().optional(),
          })
          .nullable()
          .openapi({ description: 'What it grants each period, as it was defined.' }),
      }),
    ),
  })
  .openapi('Plans')

export const rollout = z
  .strictObject({
    mode: z.enum(['enforce', 'shadow', 'off']),
    percent: z.number().min(0).max(100).openapi({ description: 'Share of subjects for which the mode holds; for the rest limits are off.' }),
  })
  .openapi('Rollout')

export const keyParams = z.object({ id: z.string().min(1).max(64) })

export const keyBody = z
  .strictObject({
    name: z.string().min(1).max(100).optional(),
    scopes: z.array(z.enum(SCOPES)).min(1).max(SCOPES.length).openapi({ description: '`consume` includes `read`, `admin` includes both.' }),
    namespace: namespace.optional().openapi({ description: "Default: the caller's. Only the key of TOLLGATE_ADMIN_KEY may name another." }),
  })
  .openapi('NewKey')

export const key = z
  .object({ id: z.string(), namespace: z.string(), name: z.string().nullable(), scopes: z.array(z.enum(SCOPES)), createdAt: z.number() })
  .openapi('Key')

export const keyWithSecret = key.extend({ key: z.string().optional().openapi({ description: 'The token for `Authorization: Bearer`. It is shown this once: a replay (`Idempotency-Replayed: true`) is without it.' }) }).openapi('KeyWithSecret')

export const keys = z.object({ keys: z.array(key) }).openapi('Keys')
