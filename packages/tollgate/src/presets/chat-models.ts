/** Chat with many models: messages a month, fewer of them on premium models; visitors use one model. */
export { MessageRecord, type MessageRecordOptions } from './chat-models/message-record.ts'
export { ANONYMOUS_MODELS, type ChatPlan, defaultPlan, isPremium, type Model, MODELS, operations, plans, planSet, PREMIUM_MODELS, type PremiumModel } from './chat-models/plans.ts'
export { type ChatUsage, type MessageCheck, type UsageOfDay, UsageTracker, type UsageTrackerOptions } from './chat-models/usage-tracker.ts'
