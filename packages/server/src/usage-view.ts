import type { Usage } from 'tollgate'

/** Usage as the API tells it, in answers and in events. No plan has credits yet. */
export function usageView(usage: Usage): object {
  return { ...usage, credits: null }
}
