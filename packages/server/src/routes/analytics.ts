import { accepts } from 'hono/accepts'
import { TollgateError } from 'tollgate'
import { type Analytics, type DenialColumn, toCsv, type UsageColumn } from 'tollgate/sqlite'
import type { KeyIdentity } from '../auth/access.ts'
import { json } from '../http/json.ts'
import type { Call } from '../http/router.ts'
import * as schemas from '../schemas/analytics.ts'
import type { RouteContext } from './context.ts'

/** `GET /v1/analytics/…`: what was used, denied, earned, and what came of it. */
export function addAnalytics({ router, needs, planSets, costs }: RouteContext): void {
  const common = { method: 'get', tag: 'Analytics', access: needs('admin') } as const
  const plans = Object.fromEntries(planSets.flatMap(({ name: set, plans }) => Object.entries(plans).map(([name, plan]) => [`${set}/${name}`, plan])))
  const ranks = Object.fromEntries(Object.entries(plans).map(([id, { rank }]) => [id, rank]))
  const asTable = 'With `Accept: text/csv`, `rows` as a table.'

  router.add(
    { ...common, path: '/v1/analytics/usage', summary: 'What was used', description: `Requests, amounts and active subjects; monthly active subjects; the share of each model and limit. ${asTable}`, query: schemas.usageQuery, answers: { 200: { description: 'What was used.', schema: schemas.usage, isTable: true } } },
    async (call) => {
      const { by, ...range } = call.query
      return answer(call, 'usage', await analyticsOf(call).usage({ ...range, by: listOf<UsageColumn>(by) }))
    },
  )
  router.add(
    { ...common, path: '/v1/analytics/denials', summary: 'What was denied, and to whom', description: asTable, query: schemas.denialsQuery, answers: { 200: { description: 'What was denied.', schema: schemas.denials, isTable: true } } },
    async (call) => {
      const { by, after, limit, ...range } = call.query
      const analytics = analyticsOf(call)
      const [report, denied] = await Promise.all([analytics.denials({ ...range, by: listOf<DenialColumn>(by) }), analytics.deniedSubjects({ ...range, after, limit })])
      return answer(call, 'denials', { ...report, denied })
    },
  )
  const rule = "A plan's revenue is its price, once for each month of which the range has a day and each subject that was admitted under it in that month. By default the range is the running month up to today; one that begins or ends within a month sets the whole month's revenue against a part of its cost."
  router.add(
    { ...common, path: '/v1/analytics/economics', summary: 'What each plan costs and brings', description: `${rule} ${asTable}`, query: schemas.economicsQuery, answers: { 200: { description: 'Cost, revenue, profit and return.', schema: schemas.economics, isTable: true } } },
    async (call) => {
      const { by: _, costPerRequest: perRequest = costs.perRequest, ...range } = call.query
      return answer(call, 'economics', await analyticsOf(call).economics({ ...range, plans, costs: { ...costs, perRequest } }))
    },
  )
  router.add(
    { ...common, path: '/v1/analytics/conversion', summary: 'What came of denials', description: `How many of those denied changed to a better plan, and how soon; how many did not come back. ${asTable}`, query: schemas.conversionQuery, answers: { 200: { description: 'By the plan under which they were denied.', schema: schemas.conversion, isTable: true } } },
    async (call) => {
      const { by: _, ...question } = call.query
      return answer(call, 'conversion', await analyticsOf(call).conversion({ ...question, ranks }))
    },
  )
}

function analyticsOf({ identity }: Call<KeyIdentity>): Analytics {
  const { analytics } = identity.tenant
  if (analytics) return analytics
  throw new TollgateError('NOT_FOUND', 'analytics: this server records nothing, since everything it keeps is in memory; start it with TOLLGATE_DATA_DIR (dataDir), or with DATABASE_URL (databaseUrl)')
}

/** What is not known among them is for the analytics to say. */
function listOf<C extends string>(by: string | undefined): C[] | undefined {
  return by?.split(',') as C[] | undefined
}

function answer<R extends { from: string; to: string; rows: readonly object[] }>({ c }: Call<KeyIdentity>, name: string, report: R): Response {
  const isTable = accepts(c, { header: 'Accept', supports: ['application/json', 'text/csv'], default: 'application/json' }) === 'text/csv'
  if (!isTable) return json(report, 200, { Vary: 'Accept' })
  const headers = { 'Content-Type': 'text/csv; charset=utf-8', 'Content-Disposition': `attachment; filename="${name}_${report.from}_${report.to}.csv"`, 'Cache-Control': 'no-store', Vary: 'Accept' }
  return new Response(toCsv(report.rows), { headers })
}
