import { z } from '@hono/zod-openapi'

const MAX_AMOUNT = 2 ** 31 - 1

/** What every store can keep, of at most `max` characters. */
export const text = (max: number) =>
  z.string().max(max)
    .refine((value) => !value.includes('\0'), 'it holds a NUL character; leave it out')
    .refine((value) => value.isWellFormed(), 'it holds half of a surrogate pair; send whole characters')

/** A name: of a plan, an operation, a dimension's value. */
export const name = text(256).min(1)

/** Where a subject's name is described. */
export const SUBJECT_RULE = "Not '.' or '..', which would be steps in a path."

/** Every subject has routes of its own, so its name has to stand in a path. */
export const subjectName = name
  .refine((value) => value !== '.' && value !== '..', { error: ({ input }) => `'${String(input)}' is a step in a path, so no route would reach it; put something before it, such as 'user:${String(input)}'` })
  .openapi({ not: { enum: ['.', '..'] }, description: SUBJECT_RULE })

export const amount = z.int().min(0).max(MAX_AMOUNT)

/** Epoch ms; the year 2096 is far enough. */
export const instant = z.int().min(0).max(4e12)

/** Unlimited is `null`. */
export const max = z.number().nullable().openapi({ description: 'null is unlimited.' })

export const namespace = z.string().regex(/^[\w.-]{1,64}$/, "use 1 to 64 letters, digits, '_', '-' or '.'")

export const limitKind = z.enum(['slidingWindow', 'fixedWindow', 'tokenBucket', 'quota', 'cooldown', 'duplicates', 'concurrency', 'capacity', 'allowOnly', 'credits'])
