import type { Settlement } from 'tollgate'
import { json } from '../http/json.ts'
import * as schemas from '../schemas/decisions.ts'
import type { RouteContext } from './context.ts'

/** `POST /v1/reservations/{id}/commit`, `/release` and `/extend`. */
export function addReservations({ router, needs }: RouteContext): void {
  const common = {
    method: 'post',
    tag: 'Reservations',
    access: needs('consume'),
    params: schemas.reservationParams,
    answers: { 200: { description: 'The reservation as it is now.', schema: schemas.settlement } },
  } as const
  const description = 'Settling it again is a 409 whose `reservation` is the first outcome.'
  router.add(
    { ...common, path: '/v1/reservations/{id}/commit', summary: 'Count what was used', description, body: schemas.commitBody, isBodyOptional: true },
    ({ identity, params, body }) => settled(identity.tenant.tollgate.commit(params.id, body.amounts ? { amounts: body.amounts } : {})),
  )
  router.add(
    { ...common, path: '/v1/reservations/{id}/release', summary: 'Give the estimate back', description, body: schemas.releaseBody, isBodyOptional: true },
    ({ identity, params }) => settled(identity.tenant.tollgate.release(params.id)),
  )
  router.add(
    { ...common, path: '/v1/reservations/{id}/extend', summary: 'Hold for longer', body: schemas.extendBody },
    ({ identity, params, body }) => settled(identity.tenant.tollgate.extend(params.id, { ttlMs: body.ttlMs })),
  )
}

async function settled(settlement: Promise<Settlement>): Promise<Response> {
  return json(await settlement)
}
