/**
 * What Redis does in one step for the cache. Every script has one key, so each runs in a cluster too. Needs Redis 6.2.
 *
 * Text that begins with '!', which no JSON does, is no entry but a mark: of whoever is fetching the value (a lease), or that
 * it was deleted a moment ago (a grave).
 */
export const LEASE = '!lease '
export const GRAVE = '!grave'

/**
 * KEYS[1] an entry · ARGV[1] the lease, [2] its ms, [3] what was found there before and is no entry
 * Returns the lease when it was taken, an entry when there is one meanwhile, nothing when somebody else has a lease.
 */
export const TAKE_LEASE = `
local found = redis.call('GET', KEYS[1])
if found and string.sub(found, 1, ${LEASE.length}) == '${LEASE}' then return false end
if found and found ~= ARGV[3] and string.sub(found, 1, 1) ~= '!' then return found end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ARGV[1]
`

/**
 * KEYS[1] an entry · ARGV[1] what must be there, [2] what takes its place, '' for nothing, [3] its ms, '' for what is left
 * Returns 1, or 0 when something else is there.
 */
export const REPLACE = `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == '' then return redis.call('DEL', KEYS[1]) end
if ARGV[3] == '' then redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL') else redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
return 1
`

/**
 * KEYS[1] the keys of a tag, by when their entries end · ARGV[1] ms, [2 …] keys
 * A key that is there already stays for the longer of both. Those that ended go; the tag itself ends with the last.
 * Formatted, as Lua writes large numbers as 1.8e+12.
 */
export const TAG = `
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
local ends = now + tonumber(ARGV[1])
for i = 2, #ARGV do
  if tonumber(redis.call('ZSCORE', KEYS[1], ARGV[i]) or 0) < ends then redis.call('ZADD', KEYS[1], string.format('%.0f', ends), ARGV[i]) end
end
local last = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')
return redis.call('PEXPIRE', KEYS[1], string.format('%.0f', tonumber(last[2]) - now))
`
