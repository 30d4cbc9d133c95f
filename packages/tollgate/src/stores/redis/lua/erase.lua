-- Forgets a subject, its anchor and its reservations included; of many keys a part, so that nobody waits long.
--
-- KEYS: the subject's record, its index of partitions, its index of reservations.
-- ARGV: what the names of partitions' keys begin with, and those of reservations; the most keys to delete of each.
--@ keys record partitions reservations
--@ args parts base most
-- Returns how many there may be still.

local left = 0
redis.call('DEL', KEYS[1])
for i = 1, 2 do
  for _, member in ipairs(redis.call('ZRANGE', KEYS[i + 1], 0, ARGV[3] - 1)) do
    redis.call('DEL', ARGV[i] .. member)
    redis.call('ZREM', KEYS[i + 1], member)
  end
  left = left + redis.call('ZCARD', KEYS[i + 1])
end
return left
