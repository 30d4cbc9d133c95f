import { assertText } from '../../compile/request.ts'
import { invalidRequest, show } from '../../errors/index.ts'

/** So that the names that are made of it are not too long: they may have 256. */
export const MAX_USER_ID_CHARACTERS = 200

/** @throws INVALID_REQUEST */
export function assertUserId(userId: unknown): asserts userId is string {
  assertText(userId, 'userId')
  if (userId.length > MAX_USER_ID_CHARACTERS) throw invalidRequest('userId', `${show(userId)} is too long; use at most ${MAX_USER_ID_CHARACTERS} characters`)
}
