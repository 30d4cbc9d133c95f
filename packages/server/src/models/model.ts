/** What answers in the demo: the built-in offline model, or an endpoint that speaks OpenAI's protocol. */
export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant'
  readonly content: string
}

export interface ModelRequest {
  readonly model: string
  readonly messages: readonly ChatMessage[]
  /** A reader is waiting for each word. */
  readonly isStreamed: boolean
  readonly signal: AbortSignal
}

export interface TokenUsage {
  readonly promptTokens: number
  readonly completionTokens: number
}

/** Pieces of text in order, and at the end what was used. */
export type ModelEvent = { readonly text: string } | { readonly usage: TokenUsage }

export interface ChatModel {
  readonly name: string
  /** Ends early, by an error, when the signal is aborted. */
  reply(request: ModelRequest): AsyncIterable<ModelEvent>
}

/** What an answer may take at most, when nobody knows yet. */
export const REPLY_ESTIMATE_TOKENS = 256

/** Four bytes of UTF-8 a token: near enough for English, high for nobody, and the same every time. */
export function countTokens(text: string): number {
  return Math.ceil(Buffer.byteLength(text) / 4)
}

export function promptTokensOf(messages: readonly ChatMessage[]): number {
  return messages.reduce((sum, { content }) => sum + countTokens(content), 0)
}
