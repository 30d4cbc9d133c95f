import { z } from '@hono/zod-openapi'
import { name, text } from '../schemas/values.ts'

/** Too much is 413, as in `/v1`, and not a wrong field. */
const CONTENT = { description: 'At most 64 KiB.' }

export const worldParams = z.object({ id: name.openapi({ description: 'The world.', example: 'w1' }) })
export const messageBody = z.strictObject({ content: z.string().min(1).openapi(CONTENT) }).openapi('WorldMessage')
export const agentBody = z.strictObject({ name: z.string().trim().min(1).max(80).regex(/^[^\p{Cc}]*$/u, 'it holds a control character') }).openapi('NewAgent')

export const messageAnswer = z.object({ success: z.literal(true), responses: z.array(z.object({ agent: z.string(), content: z.string() })) }).openapi('WorldReplies')
export const agentAnswer = z
  .object({ success: z.literal(true), agent: z.object({ id: z.string().nullable().openapi({ description: 'Its reservation: releasing it in /v1 makes room again. null while limits are off, when nothing is reserved.' }), name: z.string(), world: z.string() }) })
  .openapi('AddedAgent')

/** The denials of the worlds, as the product's front end knows them. */
export const worldDenial = z
  .object({
    error: z.string(),
    limit: z.number().optional(),
    remaining: z.literal(0).optional(),
    resetAt: z.number().optional().openapi({ description: 'Epoch ms.' }),
    retryAfter: z.number().optional().openapi({ description: 'Seconds.' }),
  })
  .openapi('WorldDenial')

const chatMessages = z
  .array(z.strictObject({ role: z.enum(['system', 'user', 'assistant']), content: z.string().min(1).openapi(CONTENT) }))
  .min(1)
  .max(100)

/** Which model there is, and for whom, is the route's to say. */
export const chatBody = (models: readonly string[]) => z.strictObject({ model: name.openapi({ enum: [...models] }), messages: chatMessages }).openapi('Chat')

export const businessParams = z.object({ id: text(200).min(1).openapi({ description: 'The business.' }) })
export const businessBody = z.strictObject({ messages: chatMessages }).openapi('BusinessChat')
export const businessAnswer = z
  .object({ reply: z.object({ role: z.literal('assistant'), content: z.string() }), usage: z.object({ promptTokens: z.number(), completionTokens: z.number(), totalTokens: z.number() }) })
  .openapi('BusinessReply')

export const usageQuery = z.strictObject({ userId: z.string().min(1).max(200).optional().openapi({ description: "Another user's; for admins." }) })
export const chatUsage = z
  .object({
    userId: z.string(),
    totalMessages: z.number(),
    premiumMessages: z.number(),
    lastReset: z.number().openapi({ description: 'Epoch ms: the 1st, 00:00 UTC, or a later reset by an admin.' }),
    canSendMessage: z.boolean(),
    canSendPremiumMessage: z.boolean(),
  })
  .openapi('ChatUsage')

export const clockBody = z.strictObject({ advanceMs: z.int().min(0).max(4e12), held: z.boolean().optional() }).openapi('Advance')
export const clockAnswer = z.object({ now: z.number() }).openapi('Now')
