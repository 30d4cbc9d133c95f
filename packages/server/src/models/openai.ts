import { type ChatModel, type ChatMessage, countTokens, type ModelEvent, promptTokensOf, type TokenUsage } from './model.ts'

/** An answer longer than this is not ours to hold. */
const MAX_REPLY_CHARACTERS = 262_144

export interface OpenAiOptions {
  /** Up to and with `/v1`. */
  readonly baseUrl: string
  readonly apiKey?: string | undefined
}

/** An endpoint that speaks OpenAI's chat completions, streamed. */
export function openAiModel({ baseUrl, apiKey }: OpenAiOptions): ChatModel {
  const url = `${baseUrl.replace(/\/+$/, '')}/chat/completions`
  return {
    name: 'openai',
    async *reply({ model, messages, signal }) {
      const response = await fetch(url, {
        method: 'POST',
        signal,
        headers: { 'Content-Type': 'application/json', ...(apiKey !== undefined && { Authorization: `Bearer ${apiKey}` }) },
        body: JSON.stringify({ model, messages, stream: true, stream_options: { include_usage: true } }),
      })
      if (!response.ok || !response.body) {
        await response.body?.cancel()
        throw new Error(`the model endpoint answered ${response.status}`)
      }
      yield* eventsOf(dataLines(response.body), messages)
    },
  }
}

async function* eventsOf(lines: AsyncIterable<string>, messages: readonly ChatMessage[]): AsyncGenerator<ModelEvent> {
  let reply = ''
  let usage: TokenUsage | undefined
  let isComplete = false
  for await (const line of lines) {
    if (line === '[DONE]') {
      isComplete = true
      break
    }
    const chunk = parse(line)
    if (chunk.error) throw new Error('the model endpoint reported an error')
    if (chunk.usage) usage = { promptTokens: chunk.usage.prompt_tokens, completionTokens: chunk.usage.completion_tokens }
    const [choice] = chunk.choices ?? []
    if (choice?.finish_reason) isComplete = true
    const text = choice?.delta?.content ?? ''
    if (text === '') continue
    reply += text
    if (reply.length > MAX_REPLY_CHARACTERS) throw new Error(`the model's answer is longer than ${MAX_REPLY_CHARACTERS} characters`)
    yield { text }
  }
  if (!isComplete) throw new Error('the model endpoint closed the stream before its end')
  // Not every endpoint counts for us.
  yield { usage: usage ?? { promptTokens: promptTokensOf(messages), completionTokens: countTokens(reply) } }
}

/** The parser's own message would quote the answer, and end up in the log. */
function parse(line: string): Chunk {
  try {
    return JSON.parse(line) as Chunk
  } catch {
    throw new Error('the model endpoint sent what is not JSON')
  }
}

interface Chunk {
  readonly choices?: readonly { readonly delta?: { readonly content?: string | null }; readonly finish_reason?: string | null }[]
  readonly usage?: { readonly prompt_tokens: number; readonly completion_tokens: number } | null
  readonly error?: unknown
}

/** The `data` of server-sent events, which here are one line each. */
async function* dataLines(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  let rest = ''
  for await (const text of body.pipeThrough(new TextDecoderStream() as unknown as TransformStream<Uint8Array, string>)) {
    const lines = (rest + text).split(/\r\n|\r|\n/)
    rest = lines.pop()!
    if (rest.length > MAX_REPLY_CHARACTERS) throw new Error('the model endpoint sent a line without end')
    yield* dataOf(lines)
  }
  yield* dataOf([rest])
}

const dataOf = (lines: readonly string[]) => lines.filter((line) => line.startsWith('data:')).map((line) => line.slice(5).trim())
