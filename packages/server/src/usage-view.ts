import { TollgateError, type Usage } from 'tollgate'

/** Usage as the API tells it, in answers and in events. No plan has credits yet. */
export function usageView(usage: Usage): object {
  return { ...usage, credits: null }
}

/** Why a subject has no usage: no plan was stored of it, and none was asked for. */
export function isWithoutPlan(error: unknown): boolean {
  return TollgateError.isInstance(error) && error.code === 'UNKNOWN_PLAN'
}
