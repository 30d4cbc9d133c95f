-- A reservation: what it was admitted with, and what became of it.
--   B status · B flags · I6 charged at · I6 expires at · I6 settled at · I6 serial · B charges, for each I6 start of its
--   period (of capacity the serial of the cell) and I7 amount · subject, charges, amounts and body, each after its length
-- The charges are JSON: k its keys, c one list per charge (see encode-reservation.ts). The body is the engine's alone.

local OPEN, COMMITTED, RELEASED = 0, 1, 2
local LATE, STANDING = 1, 2
local DAY_MS = 86400000
local FOR_EVER_MS = 34560000000

local function forget_at(v)
  if v.flags >= STANDING then return math.huge end
  return (v.settled_at > 0 and v.settled_at or v.expires_at) + DAY_MS
end

local function packed_reservation(v)
  return struct.pack('<BBI6I6I6I6B', v.status, v.flags, v.charged_at, v.expires_at, v.settled_at, v.serial, #v.kept)
    .. table.concat(v.kept)
    .. struct.pack('<I4c0I4c0I4c0I4c0', #v.subject, v.subject, #v.charges, v.charges, #v.amounts, v.amounts, #v.body, v.body)
end

-- Returns how long it is kept, in ms.
local function put_reservation(key, v, now)
  local until_at = forget_at(v)
  local keep_ms = until_at == math.huge and FOR_EVER_MS or math.max(1, until_at - now)
  redis.call('SET', key, packed_reservation(v), 'PX', string.format('%.0f', keep_ms))
  return keep_ms
end

local function parse_reservation(raw)
  local v, count, pos = { kept = {} }, 0, 0
  v.status, v.flags, v.charged_at, v.expires_at, v.settled_at, v.serial, count, pos = struct.unpack('<BBI6I6I6I6B', raw)
  for i = 1, count do
    v.kept[i] = string.sub(raw, pos, pos + 12)
    pos = pos + 13
  end
  v.subject, v.charges, v.amounts, v.body = struct.unpack('<I4c0I4c0I4c0I4c0', raw, pos)
  return v
end
