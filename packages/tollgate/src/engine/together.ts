import { assertText } from '../compile/request.ts'
import { invalidRequest, show } from '../errors/index.ts'
import { longerWait } from './decision.ts'
import type { Engine } from './engine.ts'
import type { Action, OwnPart } from './inquiry.ts'
import type { Decision, TollgateRequest } from './types.ts'
import { emptyReservation, recordUncounted } from './uncounted.ts'

const MAX_ALSO = 8

/**
 * A request of several subjects: each is a decision of its own under its own plan, in the order ip, team, subject.
 * When one refuses, those before it are taken back as if they had never been asked, and the rest are only checked, so
 * that the answer tells every limit that is in the way.
 */
export async function decideTogether(engine: Engine, request: TollgateRequest, action: Action, own?: OwnPart): Promise<Decision> {
  const parts = await partsOf(engine, request)
  const decisions: Decision[] = []
  const reserved: string[] = []
  let isRefused = false
  try {
    for (const part of parts) {
      const isLast = part === parts.at(-1)
      const decision = await engine.decideOne(part, action === 'check' || isRefused ? 'check' : 'reserve', { linked: isLast ? reserved.slice() : [], own: isLast ? own : undefined, isShared: !isLast })
      decisions.push(decision)
      if (decision.reservation) reserved.push(decision.reservation.id)
      if (decision.violations.length === 0 || action === 'check' || isRefused) continue
      isRefused = true
      await undoAll(engine, reserved)
    }
  } catch (error) {
    await undoAll(engine, reserved)
    throw error
  }
  const merged = merge(decisions, request)
  engine.deciding.join(decisions, merged)
  if (isRefused) {
    delete merged.reservation
    // Shadow mode lets it pass: there is a reservation to settle, of nothing.
    if (merged.allowed && action === 'reserve') merged.reservation = await emptyReservation(engine, request, merged.plan)
    if (merged.allowed && action === 'consume') recordUncounted(engine, request, merged)
  } else if (action === 'consume') {
    await engine.settling.settle(reserved.at(-1)!, 'commit')
    // Only capacity is given back later, by this reservation's id.
    if (!merged.limits.some(({ kind }) => kind === 'capacity')) delete merged.reservation
  }
  return merged
}

async function undoAll(engine: Engine, reserved: readonly string[]): Promise<void> {
  // Should one fail, its hold expires by itself: stricter for a while, never looser.
  await Promise.allSettled(reserved.map(async (id) => engine.settling.undo(id)))
}

/** One request per subject. The others only carry what their plans know of. */
async function partsOf(engine: Engine, request: TollgateRequest): Promise<TollgateRequest[]> {
  const { also: _, ...main } = request
  const others = othersOf(request).toSorted((a, b) => orderOf(a) - orderOf(b))
  const parts: TollgateRequest[] = []
  for (const { subject, plan } of others) parts.push(await restrict(engine, { ...main, subject }, plan))
  return [...parts, main]
}

interface Other {
  readonly subject: string
  readonly plan: string | undefined
}

/**
 * The request's further subjects.
 * @throws INVALID_REQUEST
 */
export function othersOf({ subject: own, also = [] }: TollgateRequest): Other[] {
  if (!Array.isArray(also) || also.length > MAX_ALSO) throw invalidRequest('also', `${show(also)} is not a list of at most ${MAX_ALSO} subjects`)
  const others: Other[] = []
  for (const [i, entry] of also.entries()) {
    const { subject, plan } = typeof entry === 'object' && entry !== null ? entry : { subject: entry, plan: undefined }
    assertText(subject, `also.${i}`)
    if (subject === own || others.some((other) => other.subject === subject)) throw invalidRequest(`also.${i}`, `${show(subject)} is named twice; name every subject once`)
    others.push({ subject, plan })
  }
  return others
}

function orderOf({ subject }: Other): number {
  if (subject.startsWith('ip:')) return 0
  return subject.startsWith('team:') ? 1 : 2
}

async function restrict(engine: Engine, part: TollgateRequest, plan: string | undefined): Promise<TollgateRequest> {
  const { plan: _plan, operation, dimensions, amounts, current: _current, ...rest } = part
  const restricted: TollgateRequest = plan === undefined ? rest : { ...rest, plan }
  const { vocabulary } = await engine.programFor(part.subject, plan, part.signal)
  if (operation !== undefined && (vocabulary.operations?.has(operation) ?? true)) restricted.operation = operation
  if (dimensions) restricted.dimensions = pick(dimensions as Record<string, string>, vocabulary.dimensions)
  if (amounts) restricted.amounts = pick(amounts as Record<string, number>, vocabulary.meters)
  return restricted
}

function pick<T>(values: Readonly<Record<string, T>>, names: ReadonlySet<string>): Record<string, T> {
  return Object.fromEntries(Object.entries(values).filter(([name]) => names.has(name)))
}

/** One answer: the subject's own limits first, the others' marked with whose they are. */
function merge(decisions: readonly Decision[], { subject }: TollgateRequest): Decision {
  const own = decisions.at(-1)!
  const ordered = [own, ...decisions.filter((decision) => decision !== own)]
  for (const { subject: whose, limits, violations } of ordered) {
    if (whose === subject) continue
    for (const state of [...limits, ...violations]) state.subject = whose
  }
  return {
    ...own,
    subject,
    allowed: ordered.every(({ allowed }) => allowed),
    degraded: ordered.some(({ degraded }) => degraded),
    violations: ordered.flatMap(({ violations }) => violations),
    limits: ordered.flatMap(({ limits }) => limits),
    retryAfterMs: ordered.map((decision) => decision.retryAfterMs).reduce(longerWait),
  }
}
