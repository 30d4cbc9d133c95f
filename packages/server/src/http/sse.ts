/** Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html), pulled by the client's reading. */

export const SSE_CONTENT_TYPE = 'text/event-stream; charset=utf-8'

/** JSON has no line breaks, so one `data` line holds it. */
export const sseEvent = (event: string, data: unknown) => `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`

export const sseData = (data: unknown) => `data: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`

export const sseComment = (text: string) => `: ${text}\n\n`

export interface SseSource {
  /** The next piece; `null` at the end. Called when the client is ready for it. */
  next(): Promise<string | null>
  /** The client has left. */
  cancel(): void | Promise<void>
}

/** `open` runs when somebody reads, or turns away before: an answer that nobody looks at, as of HEAD, opens nothing. */
export function sseResponse(open: () => SseSource, headers: Readonly<Record<string, string>> = {}): Response {
  const encoder = new TextEncoder()
  let source: SseSource | undefined
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        source ??= open()
        const text = await source.next()
        if (text === null) controller.close()
        else controller.enqueue(encoder.encode(text))
      },
      async cancel() {
        source ??= open()
        await source.cancel()
      },
    },
    // Nothing is read ahead: what waits, waits in the source, where it has a bound.
    { highWaterMark: 0 },
  )
  return new Response(body, {
    headers: { ...headers, 'Content-Type': SSE_CONTENT_TYPE, 'Cache-Control': 'no-cache, no-transform', 'X-Accel-Buffering': 'no' },
  })
}
