-- Decides requests under one plan, each as a whole: either all its charges are counted, or none is.
--
-- Before this body stands what the plan says, as data (see layout-script.ts):
--   PLAN      its name; '' when there is nothing to count
--   RETAIN    ms that the subject's record matters after a write
--   NUMBERS   how many numbers a request brings, QUOTAS how many ends of periods after them
--   IS_SIMPLE whether all charges are of one record and of simple kinds; then what such a charge does stands below in the
--             words of `simple/`, and HEAD is what the record goes on with after its first seven bytes, to HEAD_END, CELLS
--             its number of cells, and LENGTH how long it is when nothing is held
--   and after `data` C, all charges, FIELDS numbers each: kind, amount, max, window, refill, place of its key, place of its
--             words, cell, head, ms that it matters, place of its own number (a quota's start, an anchor, the serial of a
--             new cell of capacity; 0 for none), largest count of its width; and R, its keys: for each its directory,
--             number of cells, format and number of their words, ms that they matter; false for a log
--   KEYS_EACH how many keys R has
--   LAST      how many arguments are of requests
--   A negative amount or max is the place of a number that the request brings.
-- KEYS per request: one for each of R, the subject's record first, [the subject's index], [a reservation], [a receipt].
-- ARGV per request: what it asks, the index's members of R's keys but the first, and of a reservation its own member, ttl,
--   serial, subject, charges and body.
--   What it asks: c, u or r (check, consume, reserve), x when something else denied it, u when a subject that nothing is
--   known of is not to be decided, a when the anchor is only believed, i when it has an index, k when it has a receipt, t
--   when it brings the time ('-' otherwise); then, each after a space: until when its charges are those of
--   now, its numbers, the ends of its quotas' periods, ms that totals on record matter, and the time.
-- Returns one string per request, in a list when they are several: B status, I6 now, and for each of R an I4 length and the record as it was before, or of a
--   log I7 used, I7 total, I6 newest and I6 the instant of the entry after which it frees enough.
--   Status: 0 denied, 1 admitted, 2 stale, 3 unknown, 4 admitted before, 9 failed (and a text).

-- Everything that a decision can need. Most need none of it, so it is made when the first one does.
local function everything()
--- data
--- include lib/cell
--- include lib/record
--- include lib/log
--- include lib/index
--- include lib/reservation

-- Where a charge's numbers are in C.
local FIELDS = 12
local KIND, AMOUNT, MAX, WINDOW, REFILL, KEY, AT, CELL, OWN, LARGEST = 0, 1, 2, 3, 4, 5, 6, 7, 10, 11
-- What a request asks, letter by letter.
local REFUSED, IF_KNOWN, BELIEVED, INDEXED, WITH_RECEIPT = 120, 117, 97, 105, 107
local CHECK, RESERVE = 99, 114
local DENIED, ADMITTED, STALE, UNKNOWN, REPEATED, FAILED = 0, 1, 2, 3, 4, 9
local YEAR_MS = 34560000000
local RECEIPT_MS = 86400000

-- Loads what a key of R holds: the words of its cells one after the other, and around them what stays as it is.
local function load(key, shape)
  local raw = redis.call('GET', key)
  if not raw then
    local w = {}
    for i = 1, shape[4] do w[i] = 0 end
    return { key = key, raw = '', w = w, plan = '', tick = 0 }
  end
  local format, tick, count, held_count, plan_length = struct.unpack('<BI3BHB', raw)
  local place = 9 + plan_length
  local directory = shape[1]
  if format == FORMAT and count >= shape[2] and string.sub(raw, place, place + #directory - 1) == directory then
    local words_at = place + 5 * count
    local w = { struct.unpack(shape[3], raw, words_at) }
    local tail = w[shape[4] + 1]
    w[shape[4] + 1] = nil
    return { key = key, raw = raw, w = w, plan = string.sub(raw, 9, place - 1), tick = tick, words_at = words_at, tail = tail, holds_at = #raw - HOLD_BYTES * held_count + 1, holds = holds_from(raw) }
  end
  -- Written under another plan, or with counts that are longer than usual.
  local all = parse(raw)
  local w = {}
  for i = 1, shape[2] do
    local cell, head = struct.unpack('<I4B', directory, 5 * i - 4)
    local words = words_in(all, cell, head)
    for j = 1, word_count(head) do w[#w + 1] = words[j] end
  end
  return { key = key, raw = raw, w = w, plan = all.plan, tick = tick, holds = all.holds, all = all }
end

-- Writes back what load gave, with what became of its words and holds. Returns whether the key lives longer now.
local function store(r, shape, now, plan, retain_ms)
  -- A tick of before the clock was set back says more than the key's expiry does: so that is set again.
  local is_new = r.is_repaired or not lives(r.tick, now, retain_ms)
  if r.words_at and not r.is_wide and not is_new and plan == r.plan then
    local words = struct.pack(shape[3], unpack(r.w))
    if r.holds_changed then
      local held_count, packed = pack_holds(r.holds, now)
      put(r.key, string.sub(r.raw, 1, 5) .. struct.pack('<H', held_count) .. string.sub(r.raw, 8, r.words_at - 1) .. words .. string.sub(r.raw, r.tail, r.holds_at - 1) .. packed, r.tick, now, false)
    else
      put(r.key, string.sub(r.raw, 1, r.words_at - 1) .. words .. string.sub(r.raw, r.tail), r.tick, now, false)
    end
    return false
  end
  if is_new then r.tick = tick_after(r.tick, now, retain_ms) end
  if r.raw == '' and not r.is_wide then
    local held_count, packed = pack_holds(r.holds, now)
    put(r.key, struct.pack('<BI3BHB', FORMAT, r.tick, shape[2], held_count, #plan) .. plan .. shape[1] .. struct.pack(shape[3], unpack(r.w)) .. packed, r.tick, now, true)
    return true
  end
  local all = r.all or (r.raw == '' and new_record() or parse(r.raw))
  -- The cells of this plan come first, so that the next request finds them at once.
  local order, own = {}, {}
  local at = 0
  for i = 1, shape[2] do
    local cell, head = struct.unpack('<I4B', shape[1], 5 * i - 4)
    local words = words_in(all, cell, head)
    for j = 1, word_count(head) do words[j] = r.w[at + j] end
    at = at + word_count(head)
    order[i] = cell * 16 + head % 16
    own[order[i]] = true
  end
  for _, key in ipairs(all.order) do
    if not own[key] then order[#order + 1] = key end
  end
  all.order, all.plan, all.tick, all.holds = order, plan, r.tick, r.holds
  put(r.key, encode(all, now), r.tick, now, is_new)
  return is_new
end

local function described(records, status, now)
  local reply = struct.pack('<BI6', status, now)
  for i = 1, #records do
    local r = records[i]
    if r.log then
      reply = reply .. struct.pack('<I4I7I7I6I6', 26, r.log.used, r.log.total, r.log.newest, r.frees_at or 0)
    else
      reply = reply .. struct.pack('<I4', #r.raw) .. r.raw
    end
  end
  return reply
end

-- What a request asks, and which keys it has beside those of R.
local function request_of(what, keys_at, args_at)
  local n = {}
  for number in string.gmatch(what, '%d+') do n[#n + 1] = tonumber(number) end
  local action = string.byte(what, 1)
  local index = string.byte(what, 5) == INDEXED and KEYS[keys_at + #R]
  local place = keys_at + #R + (index and 1 or 0)
  local reservation_key = action == RESERVE and KEYS[place]
  local receipt_key = string.byte(what, 6) == WITH_RECEIPT and KEYS[place + (reservation_key and 1 or 0)]
  -- Its own arguments stand behind the members of the index.
  return { what = what, action = action, n = n, index = index, reservation_key = reservation_key, receipt_key = receipt_key, members_at = args_at, own_args = args_at + #R }
end

-- An amount or limit of a charge, which the request brings when it is negative.
local function value(q, x)
  if x < 0 then return q.n[-x] end
  return x
end

local function load_all(keys_at)
  local records = {}
  for i = 1, #R do
    if R[i] then records[i] = load(KEYS[keys_at + i - 1], R[i]) else records[i] = { key = KEYS[keys_at + i - 1] } end
  end
  return records
end

-- Whether a subject that is not to be decided unless it is known may have been lost here.
local function may_be_lost(q, own, now)
  if own.plan ~= '' or string.byte(q.what, 3) ~= IF_KNOWN then return false end
  -- A partition that has been there for longer than anything on record matters has lost nobody: the subject is new.
  local since = redis.call('GET', string.match(own.key, '^.-}'))
  return not since or tonumber(since) > now - q.n[NUMBERS + QUOTAS + 1]
end

-- Whether all charges pass, and whether they are those of another period or anchor. What is ahead of the clock is brought back.
local function examine_all(q, records, now)
  local n = q.n
  local admitted, is_stale = string.byte(q.what, 2) ~= REFUSED, now >= n[1]
  local quota = NUMBERS
  for i = 1, #C, FIELDS do
    local kind, amount, max, window, r = C[i + KIND], value(q, C[i + AMOUNT]), value(q, C[i + MAX]), C[i + WINDOW], records[C[i + KEY]]
    if kind == LOG then
      r.log = read_log(r.key, window, now)
      if r.log.used + amount > max then
        admitted = false
        if amount <= max then r.frees_at = reaching(r.key, r.log, r.log.used + amount - max) end
      end
    else
      local w, at, start_at, end_at = r.w, C[i + AT], 0, 0
      if kind == QUOTA then
        quota = quota + 1
        start_at, end_at = n[C[i + OWN]], n[quota]
        if now < start_at then is_stale = true end
      elseif kind == ANCHOR then
        start_at = n[C[i + OWN]]
        if w[at] == 0 and string.byte(q.what, 4) == BELIEVED or w[at] ~= 0 and w[at] ~= start_at then is_stale = true end
      end
      if is_ahead(kind, w, at, r.holds, C[i + CELL], now) then
        repair(kind, start_at, end_at, w, at, r.holds, C[i + CELL], now)
        r.is_changed, r.is_repaired, r.holds_changed = true, true, r.holds ~= nil
      end
      if not passes(kind, amount, max, window, C[i + REFILL], start_at, w, at, r.holds, C[i + CELL], now) then admitted = false end
    end
  end
  return admitted, is_stale
end

-- A denied request notices a step of the clock too, or its wait would begin anew with each attempt.
local function keep_repairs(records, now)
  for i = 1, #R do
    local r = records[i]
    if r.log then
      repair_log(r.key, r.log, now)
    elseif r.is_changed then
      store(r, R[i], now, r.plan, i == 1 and RETAIN or R[i][5])
    end
  end
end

-- What has ended is not written again; that there is room for one more hold is said before anything is written.
local function make_room_for_holds(q, records, now)
  for i = 1, #R do
    local holds = records[i].holds
    if holds then
      for j = 1, #holds, HOLD_SIZE do
        if holds[j + 3] <= now then records[i].is_changed, records[i].holds_changed = true, true end
      end
      if q.reservation_key and #holds >= MAX_HOLDS * HOLD_SIZE then too_many_holds() end
    end
  end
end

-- Holds what a reservation asks of a cell.
local function hold(q, r, i, amount, start_at, now)
  local holds = r.holds or {}
  local h = #holds
  holds[h + 1], holds[h + 2], holds[h + 3], holds[h + 4], holds[h + 5], holds[h + 6] = C[i + CELL], q.serial, amount, now + q.ttl, C[i + KIND] == QUOTA and start_at or 0, now
  r.holds, r.holds_changed, r.retain_ms = holds, true, math.max(r.retain_ms or 0, q.ttl)
end

-- Counts or holds all charges: logs where they are, cells among the words that were loaded.
local function charge_all(q, records, now)
  for i = 1, #C, FIELDS do
    local kind, amount, max, window, refill, r = C[i + KIND], value(q, C[i + AMOUNT]), value(q, C[i + MAX]), C[i + WINDOW], C[i + REFILL], records[C[i + KEY]]
    local start_at = C[i + OWN] > 0 and q.n[C[i + OWN]] or 0
    if kind == LOG then
      repair_log(r.key, r.log, now)
      if append(r.key, r.log, window, now, amount) then remember(q.index, ARGV[q.members_at + C[i + KEY] - 1], now, window + 660000) end
    else
      local w, at = r.w, C[i + AT]
      r.is_changed = true
      if kind == BUCKET then r.retain_ms = math.max(r.retain_ms or 0, math.ceil(max * window / refill)) end
      if q.kept and (kind == QUOTA or kind == CONCURRENCY or kind == CAPACITY) then
        if kind == QUOTA then
          if start_at > w[at] then w[at], w[at + 1] = start_at, 0 end
          start_at = w[at]
        end
        if amount > 0 then hold(q, r, i, amount, start_at, now) end
      else
        local largest = apply(kind, amount, max, window, refill, start_at, w, at, now)
        if largest > C[i + LARGEST] or largest < -C[i + LARGEST] then r.is_wide = true end
      end
    end
    if q.kept then q.kept[#q.kept + 1] = struct.pack('<I6I7', start_at, amount) end
  end
end

-- Writes the records that were changed, or whose keys would end too early.
local function store_all(q, records, now)
  local own = records[1]
  if own.raw == '' then redis.call('SET', string.match(own.key, '^.-}'), string.format('%.0f', now), 'NX', 'PX', YEAR_MS) end
  for i = 1, #R do
    local r = records[i]
    if not r.log then
      local retain_ms = math.max(i == 1 and RETAIN or R[i][5], r.retain_ms or 0)
      if i == 1 and own.plan ~= PLAN or r.is_changed or not lives(r.tick, now, retain_ms) then
        local is_longer = store(r, R[i], now, i == 1 and PLAN or '', retain_ms)
        if i > 1 and is_longer then remember(q.index, ARGV[q.members_at + i - 1], now, r.tick * TICK_MS - now) end
      end
    end
  end
end

-- Keeps the reservation itself, so that it can be settled.
local function reserve(q, own, now)
  local a = q.own_args
  put_reservation(q.reservation_key, { status = OPEN, flags = 0, charged_at = now, expires_at = now + q.ttl, settled_at = 0, serial = q.serial, kept = q.kept, subject = ARGV[a + 3], charges = ARGV[a + 4], amounts = '', body = ARGV[a + 5] }, now)
  remember(reservations_of(own.key), ARGV[a], now, q.ttl + 2 * RECEIPT_MS)
end

return function(now, what, keys_at, args_at)
  local q = request_of(what, keys_at, args_at)
  local action = q.action
  local records = load_all(keys_at)
  if may_be_lost(q, records[1], now) then return described({}, UNKNOWN, now) end
  local admitted, is_stale = examine_all(q, records, now)
  -- Whoever did not hear the answer asks again.
  local asked_before = q.reservation_key or q.receipt_key
  if asked_before and redis.call('EXISTS', asked_before) == 1 then return described(records, REPEATED, now) end
  if is_stale then return described(records, STALE, now) end
  if action == CHECK then return described(records, admitted and ADMITTED or DENIED, now) end
  if not admitted then
    keep_repairs(records, now)
    return described(records, DENIED, now)
  end
  -- As they were before.
  local reply = described(records, ADMITTED, now)
  make_room_for_holds(q, records, now)
  if q.reservation_key then q.ttl, q.serial, q.kept = tonumber(ARGV[q.own_args + 1]), tonumber(ARGV[q.own_args + 2]), {} end
  charge_all(q, records, now)
  -- Where nothing is counted the subject stays as unknown as it was.
  if PLAN ~= '' then store_all(q, records, now) end
  if q.reservation_key then reserve(q, records[1], now) end
  if q.receipt_key then redis.call('SET', q.receipt_key, '', 'PX', RECEIPT_MS) end
  return reply
end

end

-- r: reserve; k: with a receipt; x: refused by something else; u: consume; i: with an index; t: with the time.
local call, byte, sub, ceil = redis.call, string.byte, string.sub, math.ceil
local now
if byte(ARGV[1], 7) == 116 then
  now = tonumber(string.match(ARGV[1], '%d+$'))
else
  local t = call('TIME')
  now = t[1] * 1000 + t[2] / 1000
  now = now - now % 1
end
local replies, key, arg = {}, 1, 1
local asked, is_parsed, decide_any
local action, is_refused, is_unknown, is_believed, index, receipt
--- declare numbers

repeat
  local what = ARGV[arg]
  -- Requests that come together often ask the same.
  if what ~= asked then
    action, is_refused, is_unknown, is_believed, index, receipt = byte(what, 1, 6)
    asked, is_parsed = what, false
  end
  local reply
  -- The usual case: all limits are simple and in one record, which is of this plan, and nothing is held or ahead of the
  -- clock. What else there is leaves it by `break`, before anything is written, for `decide_any`.
  repeat
    if not IS_SIMPLE or action == 114 or receipt == 107 or is_refused == 120 then break end
    local raw = redis.pcall('GET', KEYS[key])
    if not raw or raw.err then break end
    local format, t1, t2, t3, count, h1, h2 = byte(raw, 1, 7)
    if format ~= 1 or h1 + h2 > 0 or sub(raw, 8, HEAD_END) ~= HEAD then break end
    local left = (t1 + 256 * t2 + 65536 * t3) * 600000 - now
    if left < RETAIN then break end
    -- Its cells may be followed by others', which stay as they are.
    local words_at = HEAD_END + 1
    if count > CELLS then words_at = words_at + 5 * (count - CELLS) elseif #raw ~= LENGTH then break end
    if not is_parsed then
      --- parse numbers
      is_parsed = true
    end
    local status, is_denied = 1, false
    if now >= n1 then status = 2 end
    --- unpack words
    --- charges
    --- leave when too wide
    if is_denied and status == 1 then status = 0 end
    if status == 1 and action == 117 then
      -- In place: what is around them and the expiry stay.
      --- pack words
    end
    reply = struct.pack('<BI6I4', status, now, #raw) .. raw
  until true

  if not reply then
    decide_any = decide_any or everything()
    -- One that fails fails alone.
    local is_done, found = pcall(decide_any, now, what, key, arg)
    if not is_done then found = struct.pack('<B', 9) .. tostring(type(found) == 'table' and found.err or found) end
    reply = found
  end
  replies[#replies + 1] = reply
  key = key + KEYS_EACH + (index == 105 and 1 or 0) + (action == 114 and 1 or 0) + (receipt == 107 and 1 or 0)
  arg = arg + KEYS_EACH + (action == 114 and 6 or 0)
until arg > LAST
-- Redis sends a string sooner than a list of one.
if #replies == 1 then return replies[1] end
return replies
