-- A subject's record, or one partition's cell, as one packed string:
--   B format · I3 tick · B number of cells · H number of holds · B length of the plan's name, the name ·
--   directory: I4 cell, B head each · the cells' words · holds, 32 bytes each
-- A cell is found by its number and kind, never by its place; head = kind + 16 * width + 64 * class, where the width says
-- how long its counts are and the class how long the cell matters at most. The tick says when the key expires at the
-- latest, so that most writes leave its expiry alone.

local FORMAT = 1
local TICK_MS = 600000
local HOLD_BYTES = 32
local CLASS_MS = { [0] = 86400000, 3024000000, 69120000000 }

local function width_bytes(head)
  local width = math.floor(head / 16) % 4
  if width == 3 then return 7 end
  return 2 ^ width
end

local function bytes_of(head)
  local kind = head % 16
  if kind == QUOTA or kind == FIXED or kind == BUCKET then return 6 + width_bytes(head) end
  if kind == SLIDING then return 6 + 2 * width_bytes(head) end
  if kind == COOLDOWN then return 6 end
  if kind == CONCURRENCY then return 0 end
  if kind == CAPACITY then return 12 + width_bytes(head) end
  if kind == ANCHOR then return 12 end
  unknown_kind(kind)
end

local function format_of(head)
  local kind = head % 16
  local count = 'I' .. width_bytes(head)
  if kind == QUOTA or kind == FIXED then return '<I6' .. count end
  if kind == BUCKET then return '<I6i' .. width_bytes(head) end
  if kind == SLIDING then return '<I6' .. count .. count end
  if kind == COOLDOWN then return '<I6' end
  if kind == CAPACITY then return '<I6' .. count .. 'I6' end
  return '<I6I6'
end

local function word_count(head)
  if bytes_of(head) == 0 then return 0 end
  return (#format_of(head) - 1) / 2
end

-- The head with the width that the words need, and no less than the one it was made with.
local function fitting(head, w)
  local kind = head % 16
  local largest = 0
  if kind == BUCKET then
    largest = w[2] < 0 and -2 * w[2] or 2 * w[2]
  elseif kind == SLIDING then
    largest = math.max(w[2], w[3])
  elseif kind == QUOTA or kind == FIXED or kind == CAPACITY then
    largest = w[2]
  end
  local width = math.floor(head / 16) % 4
  while width < 3 and largest >= 256 ^ (2 ^ width) do width = width + 1 end
  return head % 16 + 16 * width + 64 * math.floor(head / 64)
end

local function holds_from(raw)
  local count = string.byte(raw, 6) + 256 * string.byte(raw, 7)
  if count == 0 then return nil end
  local holds = {}
  local pos = #raw - HOLD_BYTES * count + 1
  while pos <= #raw do
    local n = #holds
    holds[n + 1], holds[n + 2], holds[n + 3], holds[n + 4], holds[n + 5], holds[n + 6], pos = struct.unpack('<I4I6I4I6I6I6', raw, pos)
  end
  return holds
end

local MAX_HOLDS = 65535

local function too_many_holds()
  error('a subject has 65,535 open reservations; settle them, or give them a shorter ttlMs')
end

-- How many holds have not ended, and these packed. A record has room for 65,535 of them.
local function pack_holds(holds, now)
  if not holds then return 0, '' end
  local packed = {}
  for i = 1, #holds, HOLD_SIZE do
    if holds[i + 3] > now then packed[#packed + 1] = struct.pack('<I4I6I4I6I6I6', holds[i], holds[i + 1], holds[i + 2], holds[i + 3], holds[i + 4], holds[i + 5]) end
  end
  if #packed > MAX_HOLDS then too_many_holds() end
  return #packed, table.concat(packed)
end

-- Everything in a record: the plan, the tick, the cells in their order, and the holds.
local function parse(raw)
  local format, tick, count, _, plan_length = struct.unpack('<BI3BHB', raw)
  if format ~= FORMAT then error('a record was written by a newer version of Tollgate (format ' .. format .. ', this one reads ' .. FORMAT .. '); upgrade this process') end
  local r = { plan = string.sub(raw, 9, 8 + plan_length), tick = tick, order = {}, cells = {}, holds = holds_from(raw) }
  local place = 9 + plan_length
  local pos = place + 5 * count
  for _ = 1, count do
    local cell, head = struct.unpack('<I4B', raw, place)
    local bytes = bytes_of(head)
    local key = cell * 16 + head % 16
    r.order[#r.order + 1] = key
    r.cells[key] = { cell = cell, head = head, packed = string.sub(raw, pos, pos + bytes - 1) }
    place, pos = place + 5, pos + bytes
  end
  return r
end

local function new_record()
  return { plan = '', tick = 0, order = {}, cells = {} }
end

-- The words of a cell, which is made when there is none.
local function words_in(r, cell, head)
  local key = cell * 16 + head % 16
  local found = r.cells[key]
  if not found then
    found = { cell = cell, head = head, w = { 0, 0, 0 } }
    r.order[#r.order + 1] = key
    r.cells[key] = found
  elseif not found.w then
    found.w = { 0, 0, 0 }
    if bytes_of(found.head) > 0 then
      local a, b, c = struct.unpack(format_of(found.head), found.packed)
      found.w = { a, b, c }
    end
    found.head = head
  end
  return found.w
end

-- Beyond 2^53 nothing is exact; what a cell counts stays there, and so does what it lacks.
local MOST = 9007199254740992

local function pack_cell(found)
  if not found.w then return found.head, found.packed end
  for i = 1, #found.w do found.w[i] = math.max(-MOST, math.min(MOST, found.w[i])) end
  local head = fitting(found.head, found.w)
  if head % 16 == CONCURRENCY then return head, '' end
  return head, struct.pack(format_of(head), found.w[1], found.w[2], found.w[3] or 0)
end

-- What nobody asks for any more, and is older than it can matter.
local function is_over(found, now)
  if found.w or found.head % 16 == CAPACITY or found.head % 16 == BUCKET then return false end
  local class_ms = CLASS_MS[math.floor(found.head / 64)]
  if not class_ms or found.packed == '' then return false end
  local a, b = struct.unpack(format_of(found.head), found.packed)
  if found.head % 16 == ANCHOR then a = b end
  return a + class_ms < now
end

local function encode(r, now)
  local directory, words = {}, {}
  for _, key in ipairs(r.order) do
    local found = r.cells[key]
    if found and not is_over(found, now) then
      local head, packed = pack_cell(found)
      directory[#directory + 1] = struct.pack('<I4B', found.cell, head)
      words[#words + 1] = packed
    end
  end
  local held, holds = pack_holds(r.holds, now)
  return struct.pack('<BI3BHB', FORMAT, r.tick, #directory, held, #r.plan) .. r.plan .. table.concat(directory) .. table.concat(words) .. holds
end

-- Whether a key with this tick lives long enough after a write of now.
local function lives(tick, now, retain_ms)
  return tick * TICK_MS - now >= retain_ms
end

-- The tick of a key that is to live so much longer: never an earlier one, as other cells of the record may need it.
local function tick_after(tick, now, retain_ms)
  return math.max(tick, math.ceil((now + retain_ms * 1.125) / TICK_MS) + 1)
end

local function put(key, value, tick, now, is_new)
  if is_new then
    redis.call('SET', key, value, 'PX', string.format('%.0f', tick * TICK_MS - now))
  else
    redis.call('SET', key, value, 'KEEPTTL')
  end
end

-- Keeps a record for `retain_ms` from now on. Returns whether the key lives longer now.
local function save(key, r, now, retain_ms)
  -- A tick of before the clock was set back says more than the key's expiry does: so that is set again.
  local is_new = r.is_repaired or not lives(r.tick, now, retain_ms)
  if is_new then r.tick = tick_after(r.tick, now, retain_ms) end
  put(key, encode(r, now), r.tick, now, is_new)
  return is_new
end
