/** Answers and endings in terms of Node's `ServerResponse`, for frameworks that sit on `node:http`. Shapes only: nothing of Node is imported. */
import type { Names } from '../../engine/types.ts'
import type { Admission } from './gate.ts'
import type { HeaderRecord } from './headers.ts'
import { type Problem, problemAnswer } from './problem.ts'

/** What is used of `http.ServerResponse`. */
export interface NodeResponse {
  statusCode: number
  readonly writableFinished: boolean
  readonly destroyed: boolean
  setHeader(name: string, value: string): unknown
  end(body: string): unknown
  once(event: 'finish' | 'close', listener: () => void): unknown
}

/** What is used of `http.IncomingMessage`. */
export interface NodeRequest {
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly socket: { readonly remoteAddress?: string | undefined }
}

export function setHeaders(response: NodeResponse, headers: HeaderRecord): void {
  for (const name in headers) response.setHeader(name, headers[name]!)
}

export function sendProblem(response: NodeResponse, problem: Problem, headers?: HeaderRecord): void {
  const answer = problemAnswer(problem, headers)
  response.statusCode = answer.status
  setHeaders(response, answer.headers)
  response.end(answer.body)
}

/** Commits when the response was sent in full with a status below 400; releases when it failed or the client left before. */
export function settleWithResponse(response: NodeResponse, admission: Admission<Names>): void {
  if (!admission.isOpen) return
  const settle = () => void admission.settle(response.writableFinished && response.statusCode < 400)
  // The client may have left while the engine was asked: then no event comes any more.
  if (response.destroyed) return settle()
  // 'close' alone would do, but for in-process injection, which has no connection to close.
  response.once('finish', settle)
  response.once('close', settle)
}
