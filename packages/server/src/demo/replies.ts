import type { SubjectWatcher } from '../tenants.ts'

/** Who answers a message in a world, and what. */
export interface WorldReply {
  readonly agent: string
  readonly content: string
}

export type WorldReplies = (message: { readonly world: string; readonly user: string; readonly content: string; readonly agents: readonly string[]; readonly locale: string }) => WorldReply[] | Promise<WorldReply[]>

/** More voices than this answer nobody. */
const MAX_VOICES = 3

const TEXTS = {
  es: { host: 'Anfitrión', says: (world: string) => `Tu mensaje resuena en ${world}. Añade agentes y te contestarán ellos.`, agent: (user: string) => `Te escucho, ${user}.` },
  en: { host: 'Host', says: (world: string) => `Your message echoes through ${world}. Add agents, and they will answer.`, agent: (user: string) => `I hear you, ${user}.` },
  ru: { host: 'Хозяин', says: (world: string) => `Ваше сообщение разносится по ${world}. Добавьте агентов, и они ответят.`, agent: (user: string) => `Слушаю, ${user}.` },
} as const

/** Offline, and the same every time: the agents of the world answer, or its host where there are none. */
export const offlineReplies: WorldReplies = ({ world, user, agents, locale }) => {
  const texts = TEXTS[locale as keyof typeof TEXTS] ?? TEXTS.es
  if (agents.length === 0) return [{ agent: texts.host, content: texts.says(world) }]
  return agents.slice(0, MAX_VOICES).map((agent) => ({ agent, content: texts.agent(user) }))
}

/** Worlds whose agents are known by name; for the oldest beyond this the host answers again. */
const MAX_WORLDS = 10_000
/** As many as the best plan has room for. While limits are off there may be more, which stay silent. */
const MAX_AGENTS = 50

interface Agent {
  /** Its reservation; none while limits are off. */
  readonly id: string | undefined
  readonly name: string
}

/** Names of agents, for the replies, as far as this process added them. How many there may be is the engine's count, not this one. */
export class Agents implements SubjectWatcher {
  readonly #worlds = new Map<string, { readonly owner: string; readonly agents: readonly Agent[] }>()

  add(owner: string, world: string, agent: Agent): void {
    const key = keyOf(owner, world)
    const agents = this.#worlds.get(key)?.agents ?? []
    this.#worlds.delete(key)
    if (this.#worlds.size >= MAX_WORLDS) this.#worlds.delete(this.#worlds.keys().next().value!)
    this.#worlds.set(key, { owner, agents: [...agents, agent].slice(0, MAX_AGENTS) })
  }

  of(owner: string, world: string): readonly string[] {
    return this.#worlds.get(keyOf(owner, world))?.agents.map(({ name }) => name) ?? []
  }

  /** Its room is free again: it lives there no longer. */
  released(owner: string, id: string): void {
    this.#keep(owner, (agent) => agent.id !== id)
  }

  /** Where all room is free again, nobody lives there. */
  reset(owner: string, limit: string | undefined): void {
    if (limit === undefined || limit === 'agents') this.erased(owner)
  }

  erased(owner: string): void {
    this.#keep(owner, () => false)
  }

  /** Rare, so that all worlds may be looked at. */
  #keep(owner: string, stays: (agent: Agent) => boolean): void {
    for (const [key, world] of this.#worlds) {
      if (world.owner !== owner) continue
      const agents = world.agents.filter(stays)
      if (agents.length > 0) this.#worlds.set(key, { owner, agents })
      else this.#worlds.delete(key)
    }
  }
}

const keyOf = (owner: string, world: string) => JSON.stringify([owner, world])
