import { setTimeout as wait } from 'node:timers/promises'
import { type ChatModel, countTokens, promptTokensOf } from './model.ts'

/** Between two words, so that the stream can be watched. */
const WORD_MS = 3
/** Keeps every answer below the estimate. */
const MAX_ECHO_CHARACTERS = 400

/** Answers without a network, the same to the same question: what it says does not matter, that it streams and counts does. */
export function offlineModel({ wordMs = WORD_MS }: { wordMs?: number } = {}): ChatModel {
  return {
    name: 'offline',
    async *reply({ model, messages, isStreamed, signal }) {
      const text = answerTo(model, messages.at(-1)?.content ?? '')
      for (const word of text.split(/(?<= )/)) {
        // A timer of 0 ms takes one at least, and an answer has thirty words.
        if (isStreamed && wordMs > 0) await wait(wordMs, undefined, { signal })
        signal.throwIfAborted()
        yield { text: word }
      }
      yield { usage: { promptTokens: promptTokensOf(messages), completionTokens: countTokens(text) } }
    },
  }
}

function answerTo(model: string, question: string): string {
  const echo = question.slice(0, MAX_ECHO_CHARACTERS).replaceAll(/\s+/g, ' ').trim()
  return `This is ${model}, played by the offline model of Tollgate. You wrote: “${echo}”. Set OPENAI_BASE_URL for answers with more to say.`
}
