import { createHmac, hash } from 'node:crypto'

import { invalidDefinition } from '../errors/index.ts'
import { normalise } from './normalise.ts'

/**
 * The digest of the canonical form of `content`, 22 characters of base64url: 132 bits. One text has unrelated digests
 * in two scopes (subjects, worlds), so that neither tells anything about the other.
 */
export type Digester = (content: string, scope?: string) => string

/** Below this, whoever reads the digests could try all secrets and then guess texts. */
const MIN_SECRET_BYTES = 16

/**
 * Digests keyed by `secret`: without it nobody can tell which text a digest is of, or find two texts with one digest.
 *
 * The construction is SHA3-256(key ‖ message) with a key of fixed length. SHA-3 has no length extension, so the prefix
 * makes it a PRF as it stands (Bertoni et al., "On the security of the keyed sponge construction", 2011; NIST's KMAC,
 * SP 800-185, is the same with padding). It costs one `crypto.hash` call, about a third of an HMAC.
 */
export function createDigester(secret: string | Uint8Array): Digester {
  const bytes = Buffer.byteLength(secret)
  if (bytes < MIN_SECRET_BYTES) {
    throw invalidDefinition(
      'secret',
      `${bytes} bytes is too short to keep texts from being guessed; use at least ${MIN_SECRET_BYTES} random bytes, such as TOLLGATE_SECRET="$(openssl rand -base64 32)"`,
    )
  }
  // Derived, so that what else the secret signs is apart; as text, because hashing one string is the fastest.
  const key = createHmac('sha256', secret).update('tollgate content digest').digest('base64url')
  // JSON says where the scope ends, and keeps apart the lone surrogates that UTF-8 would turn into one character.
  return (content, scope = '') =>
    hash('sha3-256', `${key}${JSON.stringify(scope)}${normalise(content)}`, 'base64url').slice(0, 22)
}
