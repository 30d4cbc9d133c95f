import { assertInteger, assertText } from '../../compile/request.ts'
import { invalidRequest, show } from '../../errors/index.ts'
import { escapeGlob } from './cache-connection.ts'

const MAX_TTL_SECONDS = 31_536_000
/** What the name of a tag begins with, behind the prefix; no key does. */
const TAG_MARK = '#'

/** What keys and tags are called in Redis. */
export class CacheKeys {
  readonly #prefix: string

  constructor(prefix: string) {
    assertText(prefix, 'prefix')
    this.#prefix = prefix.endsWith(':') ? prefix : `${prefix}:`
  }

  /** @throws INVALID_REQUEST */
  of(key: string): string {
    assertText(key, 'key')
    if (key.startsWith(TAG_MARK)) throw invalidRequest('key', `${show(key)} begins with '${TAG_MARK}', as tags do; use another key`)
    return this.#prefix + key
  }

  /** @throws INVALID_REQUEST */
  ofTag(tag: string): string {
    assertText(tag, 'tag')
    return this.#prefix + TAG_MARK + tag
  }

  isTag(name: string): boolean {
    return name.startsWith(this.#prefix + TAG_MARK)
  }

  /** @throws INVALID_REQUEST */
  matching(pattern: string): string {
    assertText(pattern, 'pattern')
    return escapeGlob(this.#prefix) + pattern
  }
}

/** @throws INVALID_REQUEST */
export function msOf(ttlSeconds: number, field = 'ttlSeconds'): number {
  assertInteger(ttlSeconds, field, 1, MAX_TTL_SECONDS)
  return ttlSeconds * 1000
}
