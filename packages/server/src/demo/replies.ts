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

/** Names of agents, for the replies. How many there may be is the engine's count, not this one. */
export class Agents {
  readonly #byWorld = new Map<string, string[]>()

  add(owner: string, world: string, name: string): void {
    const key = JSON.stringify([owner, world])
    const names = this.#byWorld.get(key) ?? []
    this.#byWorld.delete(key)
    if (this.#byWorld.size >= MAX_WORLDS) this.#byWorld.delete(this.#byWorld.keys().next().value!)
    this.#byWorld.set(key, [...names, name].slice(0, MAX_VOICES))
  }

  of(owner: string, world: string): readonly string[] {
    return this.#byWorld.get(JSON.stringify([owner, world])) ?? []
  }
}
