/** Answers depend on who asks and on the moment: nothing between server and client may keep them. */
export function json(value: unknown, status = 200, headers: Readonly<Record<string, string>> = {}): Response {
  return new Response(JSON.stringify(value), { status, headers: { ...headers, 'Content-Type': 'application/json', 'Cache-Control': 'no-store' } })
}

export function noContent(): Response {
  return new Response(null, { status: 204 })
}
