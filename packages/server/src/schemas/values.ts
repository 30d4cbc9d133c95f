import { z } from '@hono/zod-openapi'

const MAX_AMOUNT = 2 ** 31 - 1

/** A name: of a subject, a plan, a dimension's value. */
export const name = z.string().min(1).max(256).refine((text) => !text.includes('\0'), 'it holds a NUL character')

export const amount = z.int().min(0).max(MAX_AMOUNT)

/** Epoch ms; the year 2096 is far enough. */
export const instant = z.int().min(0).max(4e12)

/** Unlimited is `null`. */
export const max = z.number().nullable().openapi({ description: 'null is unlimited.' })

export const namespace = z.string().regex(/^[\w.-]{1,64}$/, "use 1 to 64 letters, digits, '_', '-' or '.'")

export const limitKind = z.enum(['slidingWindow', 'fixedWindow', 'tokenBucket', 'quota', 'cooldown', 'duplicates', 'concurrency', 'capacity', 'allowOnly', 'credits'])
