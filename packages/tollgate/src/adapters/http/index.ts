/** HTTP answers as plain functions over the Fetch API, for servers that no middleware of ours fits. */
export { clientIp, ipGroup, ipSubject } from './client-ip.ts'
export type { ClientIpOptions, HeaderSource, IpGroupOptions } from './client-ip.ts'
export type { Admission, HttpEngine, MiddlewareOptions } from './gate.ts'
export { decisionHeaders, RATE_LIMIT_DRAFT } from './headers.ts'
export type { HeaderOptions, HeaderRecord } from './headers.ts'
export { PROBLEM_CONTENT_TYPE, problemAnswer, problemOf, problemOfError, problemResponse } from './problem.ts'
export type { DenialProblem, Problem, ProblemAnswer, ProblemOptions } from './problem.ts'
export { statusOf } from './status.ts'
