-- Reads how a subject's cells stand. Writes nothing.
--
-- KEYS: the subject's record, its index, then the keys of logs that are not counted per something.
-- ARGV: now, or '' for Redis's clock; the most partitions to list; what the names of their keys begin with; the windows of
--   those logs, in ms; then for each limit that is counted per something what its members in the index begin with, and the
--   window of its log, or 0.
--@ keys record index ...logs
--@ args now most parts ...windowsAndLimits
-- Returns {now, the record, a log for each of those keys …, then name and content of each partition …}; a log as
--   I7 used, I6 newest.
--- include lib/time
--- include lib/cell
--- include lib/record
--- include lib/log

local now = clock(ARGV[1])
local answer = { string.format('%.0f', now), redis.call('GET', KEYS[1]) or '' }

local function packed_log(key, window)
  local log = read_log(key, window, now)
  return struct.pack('<I7I6', log.used, log.newest)
end

for i = 3, #KEYS do answer[#answer + 1] = packed_log(KEYS[i], tonumber(ARGV[i + 1])) end

local left = tonumber(ARGV[2])
for _, member in ipairs(#ARGV > #KEYS + 1 and redis.call('ZREVRANGE', KEYS[2], 0, 4 * left) or {}) do
  for i = #KEYS + 2, #ARGV, 2 do
    if left > 0 and string.sub(member, 1, #ARGV[i]) == ARGV[i] then
      local window = tonumber(ARGV[i + 1])
      local content = window > 0 and packed_log(ARGV[3] .. member, window) or redis.call('GET', ARGV[3] .. member)
      if content then
        answer[#answer + 1], answer[#answer + 2] = member, content
        left = left - 1
      end
    end
  end
end
return answer
