-- Says that a process is there, and counts those that said so.
--
-- KEYS[1]: the processes, scored with when they were last heard of, by Redis's own clock.
-- ARGV: this process; ms after which one that was not heard of is gone.
-- Returns how many there are.
--- include lib/time

local now = clock('')
redis.call('ZADD', KEYS[1], string.format('%.0f', now), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now - ARGV[2]))
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return redis.call('ZCARD', KEYS[1])
