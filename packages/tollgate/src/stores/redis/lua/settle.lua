-- Settles a reservation, or extends it: each once, whoever asks how often.
--
-- KEYS[1]: the reservation. Its cells are found by the names that it holds, which are in the same slot.
-- ARGV: now, or '' for Redis's clock; c, r, u or e (commit, release, undo, extend); what the subject begins with; the
--   amounts that were used, by meter, as JSON, or ''; ttl of an extension; 1 when only an open one is to be released;
--   1 when the quotas of a subject that nothing is known of are on record, and left alone.
--@ keys reservation
--@ args now action prefix amounts ttlMs onlyOpen isRecorded
-- Returns {what came of it, the reservation as it is then}: 'settled', 'settled-before', 'expired', or 'unknown' alone.
--- include lib/time
--- include lib/cell
--- include lib/record
--- include lib/log
--- include lib/index
--- include lib/reservation

local now = clock(ARGV[1])
local action, prefix, amounts_json = ARGV[2], ARGV[3], ARGV[4]
local raw = redis.call('GET', KEYS[1])
if not raw then return { 'unknown' } end
local v = parse_reservation(raw)
if string.sub(v.subject, 1, #prefix) ~= prefix or forget_at(v) <= now then return { 'unknown' } end

local has_expired = now >= v.expires_at
local is_standing = v.flags >= STANDING
local gives_back = action == 'r' and ARGV[6] ~= '1' and is_standing
if v.status ~= OPEN and not gives_back then return { 'settled-before', raw } end
if action == 'e' and has_expired then return { 'expired', raw } end

local plan = cjson.decode(v.charges)
local records = {}
for i, key in ipairs(plan.k) do
  if plan.l[i] ~= 1 then
    local stored = redis.call('GET', key)
    records[i] = stored and parse(stored) or new_record()
    records[i].retain_ms = 0
  end
end
local is_on_record = ARGV[7] == '1' and records[1].plan == ''

-- What one charge is settled with: its cell's words, and its start and amount as they were admitted.
local KIND, KEY, CELL, HEAD, MAX, WINDOW, REFILL, START, END, WEIGHT, METER, RETAIN = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12

-- Only quotas are left to the record; whatever is settled is read before anything is written.
local charges = {}
for i, c in ipairs(plan.c) do
  if not (is_on_record and c[KIND] == QUOTA) then
    local start_at, amount = struct.unpack('<I6I7', v.kept[i])
    charges[#charges + 1] = { place = i, c = c, start_at = start_at, amount = amount, r = records[c[KEY]], key = plan.k[c[KEY]] }
  end
end

-- A partition that was forgotten meanwhile is there again.
local function found_again(key, now, keep_ms)
  remember(plan.i, string.sub(key, plan.b + 1), now, keep_ms)
end

local function words_of(x)
  if x.c[KIND] ~= CONCURRENCY then x.r.is_changed = true end
  x.r.retain_ms = math.max(x.r.retain_ms, x.c[RETAIN])
  return words_in(x.r, x.c[CELL], x.c[HEAD])
end

local function drop_holds()
  for _, r in pairs(records) do
    local holds = r.holds
    if holds then
      local left = {}
      for i = 1, #holds, HOLD_SIZE do
        if holds[i + 1] ~= v.serial then
          for j = 0, HOLD_SIZE - 1 do left[#left + 1] = holds[i + j] end
        end
      end
      if #left < #holds then r.holds, r.is_changed = left, true end
    end
  end
end

local function extend_holds(expires_at)
  for _, r in pairs(records) do
    local holds = r.holds or {}
    for i = 1, #holds, HOLD_SIZE do
      if holds[i + 1] == v.serial then
        r.is_changed = true
        r.retain_ms = math.max(r.retain_ms, expires_at - now)
        if holds[i + 5] > now then
          holds[i + 3] = holds[i + 3] - (holds[i + 5] - now)
          holds[i + 5] = now
        end
        if holds[i + 3] < expires_at then holds[i + 3], holds[i + 5] = expires_at, now end
      end
    end
  end
end

local function commit(x, actual)
  local c = x.c
  local kind = c[KIND]
  if kind == LOG then
    local log = read_log(x.key, c[WINDOW], now)
    repair_log(x.key, log, now)
    if actual > x.amount and append(x.key, log, c[WINDOW], now, actual - x.amount) then found_again(x.key, now, c[WINDOW] + 660000) end
    return
  end
  if kind == CONCURRENCY then return end
  local w = words_of(x)
  if kind ~= QUOTA and is_ahead(kind, w, 1, nil, 0, now) then
    repair(kind, 0, 0, w, 1, nil, 0, now)
    x.r.is_repaired = true
  end
  if kind == QUOTA then
    -- Into the period it was reserved in. When that has gone, it is history and the live cell is left alone.
    if w[1] > x.start_at then return end
    if w[1] == 0 then w[1] = x.start_at end
    w[2] = w[2] + actual
  elseif kind == CAPACITY then
    if w[1] == 0 then w[3] = v.serial end
    w[1], w[2] = now, w[2] + actual
    -- A later release gives back what stands, and only to this cell.
    v.kept[x.place] = struct.pack('<I6I7', w[3], actual)
    if actual > 0 then is_standing = true end
  elseif actual > x.amount and kind ~= COOLDOWN and kind ~= ANCHOR then
    apply(kind, actual - x.amount, c[MAX], c[WINDOW], c[REFILL], 0, w, 1, now)
    -- A debt has to flow back in before the bucket may be forgotten.
    if kind == BUCKET and w[2] < 0 then x.r.retain_ms = x.r.retain_ms + math.ceil(-w[2] / c[REFILL]) end
  end
end

local function undo(x)
  local c, amount = x.c, x.amount
  local kind = c[KIND]
  if kind == LOG then return undo_entry(x.key, v.charged_at, amount) end
  if kind == QUOTA or kind == CONCURRENCY or kind == CAPACITY or kind == ANCHOR then return end
  local w = words_of(x)
  if kind == FIXED then
    if w[1] <= v.charged_at then w[2] = math.max(0, w[2] - amount) end
  elseif kind == SLIDING then
    if w[1] <= v.charged_at then
      w[2] = math.max(0, w[2] - amount)
    elseif w[1] - c[WINDOW] <= v.charged_at then
      w[3] = math.max(0, w[3] - amount)
    end
  elseif kind == BUCKET then
    -- What flowed in since is not given again: a bucket that was full meanwhile would hold more than without the charge.
    local flowed = math.max(0, w[1] - v.charged_at) * c[REFILL]
    if w[1] > 0 then w[2] = math.min(c[MAX] * c[WINDOW], w[2] + math.max(0, amount * c[WINDOW] - flowed)) end
  elseif kind == COOLDOWN then
    if w[1] == v.charged_at then w[1] = 0 end
  else
    unknown_kind(kind)
  end
end

if gives_back then
  for _, x in ipairs(charges) do
    if x.c[KIND] == CAPACITY then
      local w = words_of(x)
      -- Reset since, or lost: what stood before has nothing to give back.
      if w[1] > 0 and w[3] == x.start_at then w[1], w[2] = now, math.max(0, w[2] - x.amount) end
    end
  end
  v.status, v.settled_at, v.flags = RELEASED, now, v.flags % STANDING
elseif action == 'e' then
  local expires_at = now + tonumber(ARGV[5])
  v.expires_at = math.max(v.expires_at, expires_at)
  extend_holds(expires_at)
else
  local amounts = amounts_json ~= '' and cjson.decode(amounts_json) or {}
  drop_holds()
  is_standing = false
  for _, x in ipairs(charges) do
    if action == 'c' then
      local actual = amounts[x.c[METER]]
      commit(x, actual and actual * x.c[WEIGHT] or x.amount)
    elseif action == 'u' then
      undo(x)
    end
  end
  v.status = action == 'c' and COMMITTED or RELEASED
  v.settled_at = now
  v.flags = (has_expired and LATE or 0) + (is_standing and STANDING or 0)
  if action == 'c' then v.amounts = amounts_json end
end

for i, key in ipairs(plan.k) do
  local r = records[i]
  if r and r.is_changed then
    -- One that was lost is known again by the plan that it was reserved under.
    if i == 1 and r.plan == '' and not is_on_record then r.plan = plan.p end
    if save(key, r, now, i == 1 and math.max(r.retain_ms, plan.r) or r.retain_ms) and i > 1 then found_again(key, now, r.tick * TICK_MS - now) end
  end
end
local reservations, member = reservations_of(plan.k[1]), string.match(KEYS[1], '^.-}(.*)$')
if action == 'u' then
  redis.call('DEL', KEYS[1])
  redis.call('ZREM', reservations, member)
else
  remember(reservations, member, now, put_reservation(KEYS[1], v, now))
end
return { 'settled', packed_reservation(v) }
