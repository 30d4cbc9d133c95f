import { z } from '@hono/zod-openapi'

/** Whether it is a day, and the range not too long, is for the analytics to say. */
const day = z.string().openapi({ format: 'date', example: '2026-03-01' })
const rangeFrom = (start: string) => ({
  from: day.optional().openapi({ format: 'date', description: `The first day, in the server's zone. Default: ${start}. A range has at most 400 days.` }),
  to: day.optional().openapi({ format: 'date', description: 'The last day. Default: today.' }),
})
const range = rangeFrom('30 days before `to`')
const by = (columns: string, fallback: string) => z.string().optional().openapi({ description: `One or several, with commas between them, of ${columns}. Default \`${fallback}\`.`, example: fallback })
const byPlan = z.literal('plan', "it is always by 'plan'; leave it out").optional()

/** A query's numbers are texts. */
const integer = (min: number, max: number) => {
  const rule = `use an integer from ${min} to ${max}`
  return z.string().regex(/^\d{1,9}$/, rule).transform(Number).refine((value) => value >= min && value <= max, rule).optional()
}

export const usageQuery = z.strictObject({ ...range, by: by('`day`, `plan`, `limit`, `operation`, `model`', 'day') })

export const denialsQuery = z.strictObject({
  ...range,
  by: by('`day`, `plan`, `limit`, `kind`, `code`, `operation`, `mode`', 'day'),
  after: z.string().optional().openapi({ description: '`denied.next` of the page before.' }),
  limit: integer(1, 1000).openapi({ type: 'integer', description: 'Of subjects in `denied`; default 100.' }),
})

export const economicsQuery = z.strictObject({
  ...rangeFrom('the first of the month of `to`'),
  by: byPlan,
  costPerRequest: z.string().regex(/^\d{1,6}(\.\d{1,12})?$/, 'use a number such as 0.0005').transform(Number).optional().openapi({ type: 'number', description: 'Of a request whose operation the headline limit of its plan counts, such as a message, in the currency of the answer. Default: what the server was told, else 0.0005 USD.' }),
})

export const conversionQuery = z.strictObject({
  ...range,
  by: byPlan,
  windowDays: integer(1, 400).openapi({ type: 'integer', description: 'How long after a denial an upgrade is taken for its effect; default 30.' }),
  churnDays: integer(1, 400).openapi({ type: 'integer', description: 'After how long without use a subject is taken for lost; default 14.' }),
})

const count = z.int()
const of = { from: day, to: day }
const text = z.string().optional()
const plan = z.string().nullable().openapi({ description: 'null: all of them.' })
const share = z.object({ plan, name: z.string(), requests: count, share: z.number().openapi({ description: 'Of all requests of the plan.' }) })

export const usage = z
  .object({
    ...of,
    rows: z.array(
      z.object({
        day: text, plan: text, limit: text, operation: text, model: text,
        requests: count.optional(),
        amounts: z.record(z.string(), count).optional().openapi({ description: 'By meter.' }),
        used: count.optional().openapi({ description: 'By `limit`, in place of both: what it counted.' }),
        activeSubjects: count.optional().openapi({ description: 'By `day` and `plan` alone: each subject once in each row.' }),
      }),
    ),
    months: z.array(z.object({ month: z.string(), plan, activeSubjects: count })).openapi({ description: 'Of each month of which the range has a day, the whole.' }),
    models: z.array(share),
    limits: z.array(share).openapi({ description: '`requests` is what the limit counted: premium use, where a limit counts that.' }),
  })
  .openapi('UsageReport')

export const denials = z
  .object({
    ...of,
    rows: z.array(
      z.object({
        day: text, plan: text, limit: text, kind: text, code: text, operation: text, mode: text,
        requests: count.optional().openapi({ description: 'Not by `limit`, `kind` or `code`: one request may violate several.' }),
        violations: count,
      }),
    ).openapi({ description: 'What was denied indeed; by `mode`, also what would have been.' }),
    subjects: z.array(z.object({ plan: z.string(), mode: z.string(), subjects: count })).openapi({ description: 'How many different ones.' }),
    denied: z.object({
      rows: z.array(z.object({ subject: z.string().nullable().openapi({ description: 'null where it was erased.' }), plan: z.string(), requests: count, lastAt: count })),
      next: z.string().nullable().openapi({ description: '`after` of the next page; null at the end.' }),
    }),
  })
  .openapi('DenialReport')

const money = z.number().nullable().openapi({ description: 'null where the plan has no price in this currency.' })
const balance = { requests: count.openapi({ description: 'All that were admitted, also those that cost nothing.' }), cost: z.number(), revenue: money, profit: money, roi: money }

export const economics = z
  .object({
    ...of,
    currency: z.string(),
    rows: z.array(z.object({ plan: z.string(), ...balance, activeSubjects: count, subjectMonths: count })),
    total: z.object(balance),
  })
  .openapi('EconomicsReport')

const duration = z.number().nullable().openapi({ description: 'Milliseconds; null where nobody upgraded.' })

export const conversion = z
  .object({
    ...of,
    rows: z.array(
      z.object({
        plan: z.string(), denied: count, upgraded: count, upgradeShare: z.number(), medianMs: duration, meanMs: duration,
        judged: count.openapi({ description: 'Those denied whose time to come back is over.' }), churned: count, churnShare: z.number(),
      }),
    ),
  })
  .openapi('ConversionReport')
