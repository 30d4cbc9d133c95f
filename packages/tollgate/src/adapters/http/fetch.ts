/** Answers and endings in terms of the Fetch API, for frameworks whose handlers return a `Response`. */
import type { Names } from '../../engine/types.ts'
import type { Admission } from './gate.ts'
import type { HeaderRecord } from './headers.ts'

/** The response with `headers` set; a copy where its headers cannot be changed, as on a response of `fetch`. */
export function withHeaders(response: Response, headers: HeaderRecord): Response {
  try {
    return set(response, headers)
  } catch {
    return set(new Response(response.body, response), headers)
  }
}

function set(response: Response, headers: HeaderRecord): Response {
  for (const name in headers) response.headers.set(name, headers[name]!)
  return response
}

/**
 * Settles the admission when the response has ended: commits after the last byte of a body was taken, releases when the status is
 * 400 or more, the body fails, or its reader cancels. The commit comes before the body's end, not after: a serverless function may be
 * frozen once it has answered. `isBodyless`: the body will not be read, as after HEAD.
 */
export async function settleWithBody(response: Response, admission: Admission<Names>, isBodyless: boolean): Promise<Response> {
  if (!admission.isOpen) return response
  if (response.status >= 400 || response.body === null || isBodyless) {
    await admission.settle(response.status < 400)
    return response
  }
  return new Response(watched(response.body, (isComplete) => admission.settle(isComplete)), response)
}

/** `body`, chunk by chunk as it is asked for. `onEnd` is awaited before the end is passed on. */
function watched(body: ReadableStream<Uint8Array>, onEnd: (isComplete: boolean) => Promise<void>): ReadableStream<Uint8Array> {
  const reader = body.getReader()
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await reader.read()
          if (!done) return controller.enqueue(value)
        } catch (error) {
          await onEnd(false)
          throw error
        }
        await onEnd(true)
        controller.close()
      },
      async cancel(reason) {
        await onEnd(false)
        await reader.cancel(reason)
      },
    },
    // Nothing is read ahead: the last chunk counts as sent when it was asked for, not when it was buffered here.
    { highWaterMark: 0 },
  )
}
