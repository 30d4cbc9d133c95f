-- A subject's index: a sorted set of the keys that it has besides its record, each scored with the instant after which
-- the key is gone. So they are found again without searching: to list partitions, and to erase a subject.

-- `keep_ms` is how long the key lives from now on.
local function remember(index, member, now, keep_ms)
  redis.call('ZREMRANGEBYSCORE', index, '-inf', string.format('(%.0f', now))
  redis.call('ZADD', index, string.format('%.0f', now + keep_ms), member)
  if redis.call('PTTL', index) < keep_ms then redis.call('PEXPIRE', index, string.format('%.0f', keep_ms + 600000)) end
end
