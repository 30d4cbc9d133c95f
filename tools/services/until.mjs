const TIMEOUT_MS = 20_000
const INTERVAL_MS = 20

/**
 * Asks again and again until the answer is yes; an error is a no, except one that is marked as final.
 * @param {string} what named by the error when it does not come to be
 * @param {() => unknown} check
 */
export async function until(what, check) {
  let last
  for (const deadline = Date.now() + TIMEOUT_MS; Date.now() < deadline; ) {
    try {
      if (await check()) return
      last = undefined
    } catch (error) {
      if (error.isFinal) throw error
      last = error
    }
    await new Promise((resolve) => setTimeout(resolve, INTERVAL_MS))
  }
  throw new Error(`not in ${TIMEOUT_MS} ms: ${what}`, { cause: last })
}
