-- A subject's indexes: sorted sets of the keys that it has besides its record, each scored with the instant after which the
-- key is gone. So they are found again without searching: partitions to be listed, both to be erased.

-- The index of reservations, by the name of the record.
local function reservations_of(record_key)
  return (string.gsub(record_key, '}s', '}j', 1))
end

-- `keep_ms` is how long the key lives from now on.
local function remember(index, member, now, keep_ms)
  redis.call('ZREMRANGEBYSCORE', index, '-inf', string.format('(%.0f', now))
  redis.call('ZADD', index, string.format('%.0f', now + keep_ms), member)
  if redis.call('PTTL', index) < keep_ms then redis.call('PEXPIRE', index, string.format('%.0f', keep_ms + 600000)) end
end
