export type { IoredisClient, NodeRedisClient, NodeRedisCluster, RedisClient } from './client.ts'
export { openRedis, type OpenedRedis, type OpenRedisOptions, parseRedisUrl, type RedisPlace } from './open.ts'
export { preflight, type PreflightOptions, type Problem } from './preflight.ts'
export { RedisStore, type RedisStoreOptions } from './redis-store.ts'
