/** Why a server cannot start, in words for whoever starts it: what is wrong, and the fix. Shown without a stack. */
export class StartupError extends Error {
  override readonly name = 'StartupError'
}
