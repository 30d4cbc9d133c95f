import { z } from '@hono/zod-openapi'

/** What every error looks like. Members beyond these depend on the error: `violations`, `reservation` … */
export const problem = z
  .looseObject({
    type: z.string().openapi({ description: 'A URI of the kind of problem.', example: 'about:blank' }),
    title: z.string(),
    status: z.int(),
    detail: z.string().openapi({ description: 'What is wrong, the rule and the fix.' }),
    code: z.string().openapi({ description: 'For programs.', example: 'INVALID_REQUEST' }),
    instance: z.string().optional().openapi({ description: 'Names this very failure in the log of the server.' }),
    field: z.string().optional().openapi({ description: 'The first field that is wrong.', example: 'amounts.tokens' }),
    errors: z.array(z.object({ field: z.string(), message: z.string() })).optional().openapi({ description: 'Every field that is wrong.' }),
    retryAfterMs: z.number().nullable().optional(),
  })
  .openapi('Problem')
