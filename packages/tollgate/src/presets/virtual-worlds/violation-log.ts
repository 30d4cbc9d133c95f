import type { LimitState } from '../../engine/types.ts'

export interface ViolationLog {
  /** For people, and for the product's log query, which looks for `Límite diario excedido`. */
  readonly line: string
  /** For machines. JSON-able; holds no content of messages. */
  readonly fields: ViolationFields
}

export interface ViolationFields extends Pick<LimitState, 'limit' | 'kind' | 'code' | 'max' | 'used' | 'resetAt' | 'retryAfterMs'> {
  readonly event: 'world_limit_violation'
  readonly userId: string
  readonly worldId: string
}

const LINES: Readonly<Record<string, (userId: string, worldId: string) => string>> = {
  dailyMessages: (user) => `[World Message] Límite diario excedido para usuario ${user}`,
  cooldown: (user, world) => `[World Message] Cooldown activo para usuario ${user} en mundo ${world}`,
  spam: (user, world) => `[World Message] Spam detectado para usuario ${user} en mundo ${world}`,
  flood: (user, world) => `[World Message] Flooding detectado para usuario ${user} en mundo ${world}`,
  agents: (user, world) => `[World Agent] Límite de agentes excedido para usuario ${user} en mundo ${world}`,
}

/** What to log of a violation of this preset's limits: one line, and the same as structured fields. */
export function violationLog(violation: LimitState, { userId, worldId }: { userId: string; worldId: string }): ViolationLog {
  const { limit, kind, code, max, used, resetAt, retryAfterMs } = violation
  const lineOf = LINES[limit] ?? ((user, world) => `[World Message] Límite ${limit} excedido para usuario ${user} en mundo ${world}`)
  return {
    line: lineOf(printable(userId), printable(worldId)),
    fields: { event: 'world_limit_violation', userId, worldId, limit, kind, code, max, used, resetAt, retryAfterMs },
  }
}

/** Ids can come from a URL: a line break in one must not forge a second log line. */
function printable(id: string): string {
  return id.replace(/[\p{Cc}\p{Zl}\p{Zp}]/gu, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)
}
