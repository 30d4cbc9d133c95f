import { TollgateError } from 'tollgate'
import type { ChatMessage } from '../models/model.ts'

/** As much as the engine takes where it is given the content. */
const MAX_CONTENT_BYTES = 65_536

/** @throws TOO_LARGE */
export function assertContents(messages: readonly ChatMessage[]): void {
  for (const [i, { content }] of messages.entries()) {
    const bytes = Buffer.byteLength(content)
    const field = `messages.${i}.content`
    if (bytes > MAX_CONTENT_BYTES) throw new TollgateError('TOO_LARGE', `${field}: ${bytes} bytes are too many; use at most ${MAX_CONTENT_BYTES}`, { field })
  }
}
