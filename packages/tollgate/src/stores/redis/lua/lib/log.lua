-- An exact sliding window: a sorted set of admissions, each scored with its instant. A member is
-- 'total up to here, 16 digits':'amount', so the use of a window is a difference of two members.

local MAX_LOGGED = 10000

local function member_of(total, amount)
  return string.format('%016.0f:%.0f', total, amount)
end

local function total_of(member)
  return tonumber(string.sub(member, 1, 16))
end

local function amount_of(member)
  return tonumber(string.sub(member, 18))
end

-- What a log holds now: used, the newest instant in it (0: none), and where its window begins. Writes nothing.
local function read_log(key, window, now)
  local last = redis.call('ZREVRANGE', key, 0, 0, 'WITHSCORES')
  if not last[1] then return { used = 0, newest = 0, total = 0, cutoff = now - window } end
  local newest_at = tonumber(last[2])
  -- After a step back of the clock, what had left the window when the newest came stays out of it.
  local cutoff = (newest_at > now and newest_at or now) - window
  local log = { used = 0, newest = newest_at, total = total_of(last[1]), last = last[1], cutoff = cutoff }
  if newest_at <= cutoff then return log end
  local first = redis.call('ZRANGEBYSCORE', key, string.format('(%.0f', cutoff), '+inf', 'LIMIT', 0, 1)[1]
  log.first = first
  log.used = log.total - total_of(first) + amount_of(first)
  return log
end

-- The instant of the first entry after which at least `needed` is free; the totals grow with the rank.
local function reaching(key, log, needed)
  local wanted = log.total - log.used + needed
  local low = redis.call('ZRANK', key, log.first)
  local high = redis.call('ZCARD', key) - 1
  while low < high do
    local middle = math.floor((low + high) / 2)
    if total_of(redis.call('ZRANGE', key, middle, middle)[1]) >= wanted then high = middle else low = middle + 1 end
  end
  return tonumber(redis.call('ZRANGE', key, low, low, 'WITHSCORES')[2])
end

-- Entries ahead of the clock are brought to now.
local function repair_log(key, log, now)
  if log.newest <= now then return end
  redis.call('ZREMRANGEBYSCORE', key, '-inf', string.format('%.0f', log.cutoff))
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', key, string.format('(%.0f', now), '+inf')) do
    redis.call('ZADD', key, string.format('%.0f', now), member)
  end
  log.newest = now
end

-- Adds an admission. Returns whether the key lives longer now. A full log takes it into its newest entry: the count stays exact, and that entry counts a little longer.
local function append(key, log, window, now, amount)
  if amount == 0 then return false end
  redis.call('ZREMRANGEBYSCORE', key, '-inf', string.format('%.0f', now - window))
  local total, added = amount, amount
  if log.used > 0 then
    total = log.total + amount
    if log.newest == now or redis.call('ZCARD', key) >= MAX_LOGGED then
      redis.call('ZREM', key, log.last)
      added = amount_of(log.last) + amount
    end
  end
  redis.call('ZADD', key, string.format('%.0f', now), member_of(total, added))
  -- Not with each admission: some minutes more are set than are needed.
  if redis.call('PTTL', key) >= window + 60000 then return false end
  redis.call('PEXPIRE', key, string.format('%.0f', window + 660000))
  return true
end

-- Takes an admission back, as if it had never been.
local function undo_entry(key, charged_at, amount)
  local score = string.format('%.0f', charged_at)
  local member = redis.call('ZREVRANGEBYSCORE', key, score, score, 'LIMIT', 0, 1)[1]
  if not member then return end
  local later = redis.call('ZRANGE', key, redis.call('ZRANK', key, member), -1, 'WITHSCORES')
  for i = 1, #later, 2 do redis.call('ZREM', key, later[i]) end
  for i = 1, #later, 2 do
    local left = amount_of(later[i])
    if i == 1 then left = left - amount end
    if left > 0 then redis.call('ZADD', key, later[i + 1], member_of(total_of(later[i]) - amount, left)) end
  end
end
