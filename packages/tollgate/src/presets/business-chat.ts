/** Chat of a business: messages a day and LLM tokens a month, counted per subscription. */
export { type CounterAboveLimit, type MonitorReport, monitorReport, type MonitorReportOptions } from './business-chat/monitor-report.ts'
export { anchorOf, type BusinessPlan, defaultPlan, type Instant, operations, planOf, plans, planSet, rolloutFromEnv } from './business-chat/plans.ts'
