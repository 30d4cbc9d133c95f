import { z } from '@hono/zod-openapi'
import { SCOPES } from '../auth/keys.ts'
import { decision, limitState } from './decisions.ts'
import { amount, instant, name, namespace } from './values.ts'

/** The operator's own facts about a subject. */
const attributes = z
  .record(z.string().min(1).max(64), z.union([z.string().max(1024), z.number(), z.boolean(), z.null()], 'use a text of up to 1024 characters, a number, true, false or null'))
  .refine((record) => Object.keys(record).length <= 50, 'use at most 50')
  .openapi({ description: 'Never interpreted: at most 50, names up to 64 and texts up to 1024 characters.' })

const overrides = z.record(z.string().min(1).max(256), amount.nullable()).openapi({ description: 'Limits of its own, by name, in place of those of the plan; null is unlimited.', example: { monthlyTokens: 25_000_000 } })

export const subjectBody = z
  .strictObject({
    subject: name.optional().openapi({ description: 'As in the path, so that what GET gave can be sent back.' }),
    plan: name.openapi({ example: 'virtual-worlds/plus' }),
    anchorAt: instant.nullable().optional().openapi({ description: 'From when its own periods count. null removes it.' }),
    team: name.nullable().optional().openapi({ description: 'null removes it.' }),
    attributes: attributes.nullable().optional().openapi({ description: 'All of them, in place of those that were stored; null removes them.' }),
    overrides: overrides.nullable().optional().openapi({ description: 'All of them, in place of those that were stored; null removes them.' }),
  })
  .openapi('SubjectFacts')

export const subject = z
  .object({ subject: name, plan: name, anchorAt: instant.optional(), team: name.optional(), attributes: attributes.optional(), overrides: overrides.optional() })
  .openapi('Subject')

export const usageQuery = z.strictObject({ plan: name.optional().openapi({ description: 'Default: the stored plan, else the one of its last admitted request.' }) })

export const usage = z
  .object({ subject: z.string(), plan: z.string(), limits: z.array(limitState), credits: z.null().openapi({ description: 'No plan has credits yet.' }) })
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
        credits: z.object({ grant: z.number(), every: z.union([z.string(), z.number()]) }).nullable(),
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
