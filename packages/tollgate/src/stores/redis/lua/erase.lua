-- Forgets all of a subject, its anchor and its reservations included.
--
-- KEYS: the subject's record, its index.
-- ARGV: what the names of partitions' keys begin with, and those of reservations.
-- Returns how many keys were deleted.

local deleted = redis.call('DEL', KEYS[1])
for _, member in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
  local base = string.sub(member, 1, 1) == 'p' and ARGV[1] or ARGV[2]
  deleted = deleted + redis.call('DEL', base .. member)
end
return deleted + redis.call('DEL', KEYS[2])
