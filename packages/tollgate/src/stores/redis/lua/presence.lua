-- Says that a process is there, and counts those that said so.
--
-- KEYS: the processes, scored with when they were last heard of, by Redis's own clock; since when some process was always there.
-- ARGV: this process; ms after which one that was not heard of is gone.
--@ keys processes since
--@ args process goneAfterMs
-- Returns how many there are, and for how many ms there was always one.
--- include lib/time

local now = clock('')
local gone_at = now - ARGV[2]
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', gone_at))
if redis.call('ZCARD', KEYS[1]) == 0 then redis.call('DEL', KEYS[2]) end
redis.call('ZADD', KEYS[1], string.format('%.0f', now), ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
local since = tonumber(redis.call('GET', KEYS[2]) or now)
redis.call('SET', KEYS[2], string.format('%.0f', since), 'PX', ARGV[2])
return { redis.call('ZCARD', KEYS[1]), string.format('%.0f', now - since) }
