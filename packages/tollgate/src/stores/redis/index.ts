export type { IoredisClient, NodeRedisClient, NodeRedisCluster, RedisClient } from './client.ts'
export { RedisStore, type RedisStoreOptions } from './redis-store.ts'
