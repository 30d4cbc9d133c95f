export { startRedisCluster } from './redis-cluster.mjs'
export { startRedis } from './redis-server.mjs'
export { command } from './resp.mjs'
