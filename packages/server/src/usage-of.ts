import { type Tollgate, TollgateError, type Usage } from 'tollgate'

/** A subject's usage. One that was only given credits has no plan to look at limits by. */
export async function usageOf(tollgate: Tollgate, subject: string): Promise<Omit<Usage, 'plan'> & { plan: string | null }> {
  try {
    return await tollgate.usage(subject)
  } catch (error) {
    if (!isWithoutPlan(error)) throw error
    const { balance, available, reserved, spent, granted } = await tollgate.balance(subject)
    if (granted === 0 && spent === 0) throw error
    return { subject, plan: null, limits: [], credits: { balance, available, reserved, spent } }
  }
}

/** Why a subject has no usage: no plan was stored of it, and none was asked for. */
export function isWithoutPlan(error: unknown): boolean {
  return TollgateError.isInstance(error) && error.code === 'UNKNOWN_PLAN'
}
