-- The kernel, as decide/kernel.ts and decide/settle.ts say it: what a charge finds in its cell and leaves there.
-- A cell's words are w[at], w[at + 1] …; the instant of a cell never used is 0. Holds are a flat list of six numbers each:
-- cell, serial of the reservation, amount, expiry, start of the period, when it was taken.

local ANCHOR, QUOTA, FIXED, SLIDING, LOG, BUCKET, COOLDOWN, CONCURRENCY, CAPACITY = 0, 1, 2, 3, 4, 5, 6, 7, 8
local HOLD_SIZE = 6

local function unknown_kind(kind)
  error('Cell kind ' .. tostring(kind) .. ' is not one this version of Tollgate knows; upgrade this process before you use the kind')
end

local function held(holds, cell, start_at, now)
  local sum = 0
  if holds then
    for i = 1, #holds, HOLD_SIZE do
      if holds[i] == cell and holds[i + 3] > now and holds[i + 4] == start_at then sum = sum + holds[i + 2] end
    end
  end
  return sum
end

local function window_start(window, start_at, now)
  local age = now - start_at
  if age < window then return start_at end
  if age < 2 * window then return start_at + window end
  return now - now % window
end

local function bucket_level(max, window, refill, updated_at, level, now)
  local full = max * window
  if updated_at == 0 then return full end
  local flowed = (now - updated_at) * refill
  if flowed >= full - level then return full end
  return level + flowed
end

-- Whether one charge passes. `start_at` is the quota's, or 0.
local function passes(kind, amount, max, window, refill, start_at, w, at, holds, cell, now)
  if kind == QUOTA then
    local current = w[at]
    local used = 0
    if current >= start_at then used = w[at + 1] else current = start_at end
    if holds then used = used + held(holds, cell, current, now) end
    return used + amount <= max and used < max
  elseif kind == SLIDING then
    local start = window_start(window, w[at], now)
    local current, previous = 0, 0
    if start == w[at] then
      current, previous = w[at + 1], w[at + 2]
    elseif start == w[at] + window then
      previous = w[at + 1]
    end
    return current + math.ceil(previous * (start + window - now) / window) + amount <= max
  elseif kind == BUCKET then
    return bucket_level(max, window, refill, w[at], w[at + 1], now) >= amount * window
  elseif kind == FIXED then
    local used = 0
    if window_start(window, w[at], now) == w[at] then used = w[at + 1] end
    return used + amount <= max
  elseif kind == COOLDOWN then
    return now >= w[at] + window or amount == 0
  elseif kind == CONCURRENCY then
    return held(holds, cell, 0, now) + amount <= max
  elseif kind == CAPACITY then
    return w[at + 1] + held(holds, cell, 0, now) + amount <= max
  elseif kind == ANCHOR then
    return true
  end
  unknown_kind(kind)
end

-- Counts an admitted charge. Returns the largest word it wrote that has a width of its own.
-- `start_at` is the quota's, the anchor, or of a new cell of capacity its serial: a release gives back only to the cell
-- that its commit was counted in.
local function apply(kind, amount, max, window, refill, start_at, w, at, now)
  if kind == QUOTA then
    if start_at > w[at] then w[at], w[at + 1] = start_at, 0 end
    w[at + 1] = w[at + 1] + amount
  elseif kind == SLIDING then
    local start = window_start(window, w[at], now)
    if start ~= w[at] then
      if start == w[at] + window then w[at + 2] = w[at + 1] else w[at + 2] = 0 end
      w[at], w[at + 1] = start, 0
    end
    w[at + 1] = w[at + 1] + amount
  elseif kind == BUCKET then
    w[at + 1] = bucket_level(max, window, refill, w[at], w[at + 1], now) - amount * window
    w[at] = now
  elseif kind == FIXED then
    local start = window_start(window, w[at], now)
    if start ~= w[at] then w[at], w[at + 1] = start, 0 end
    w[at + 1] = w[at + 1] + amount
  elseif kind == COOLDOWN then
    if amount > 0 then w[at] = now end
    return 0
  elseif kind == CAPACITY then
    if w[at] == 0 then w[at + 2] = start_at end
    w[at] = now
    w[at + 1] = w[at + 1] + amount
  elseif kind == ANCHOR then
    if w[at] == 0 then w[at] = start_at end
    w[at + 1] = now
    return 0
  elseif kind == CONCURRENCY then
    return 0
  else
    unknown_kind(kind)
  end
  return w[at + 1]
end

local function newest(kind, w, at)
  if kind == CONCURRENCY then return 0 end
  if kind == ANCHOR then return w[at + 1] end
  return w[at]
end

local function is_ahead(kind, w, at, holds, cell, now)
  if newest(kind, w, at) > now then return true end
  if holds then
    for i = 1, #holds, HOLD_SIZE do
      if holds[i] == cell and holds[i + 5] > now then return true end
    end
  end
  return false
end

-- Brings a cell back that lies ahead of the clock, after that was set back.
local function repair(kind, start_at, end_at, w, at, holds, cell, now)
  if holds then
    for i = 1, #holds, HOLD_SIZE do
      if holds[i] == cell and holds[i + 5] > now then
        holds[i + 3] = holds[i + 3] - (holds[i + 5] - now)
        holds[i + 5] = now
      end
    end
  end
  if newest(kind, w, at) <= now then return end
  if kind == QUOTA then
    if w[at] - now <= end_at - start_at then return end
    if holds then
      for i = 1, #holds, HOLD_SIZE do
        if holds[i] == cell and holds[i + 4] == w[at] then holds[i + 4] = start_at end
      end
    end
    w[at] = start_at
  elseif kind == ANCHOR then
    w[at + 1] = now
  else
    w[at] = now
  end
end
