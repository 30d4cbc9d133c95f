-- Forgets what a subject used: in the cells that are named, or in all. The anchor stays, and so do the plan and the
-- reservations, which give nothing back to what is gone.
--
-- KEYS: the subject's record, its index.
-- ARGV: now, or '' for Redis's clock; what the names of partitions' keys begin with; ms that the record matters at least; then
--   each cell as its number and what its members in the index begin with, without their kind; none: all.
--@ keys record index
--@ args now parts keepMs ...cells
-- Returns how many keys were changed or deleted.
--- include lib/time
--- include lib/cell
--- include lib/record

local now = clock(ARGV[1])
local changed = 0

local numbers = {}
for i = 4, #ARGV, 2 do numbers[tonumber(ARGV[i])] = true end

local function is_named(member)
  if #ARGV == 3 then return true end
  for i = 5, #ARGV, 2 do
    if string.sub(member, 1, #ARGV[i]) == ARGV[i] then return true end
  end
  return false
end

for _, member in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
  if is_named(member) then
    changed = changed + redis.call('DEL', ARGV[2] .. member)
    redis.call('ZREM', KEYS[2], member)
  end
end

local raw = redis.call('GET', KEYS[1])
if raw then
  local r = parse(raw)
  local gone = {}
  for key, found in pairs(r.cells) do
    if found.head % 16 ~= ANCHOR and (#ARGV == 3 or numbers[found.cell]) then
      gone[found.cell] = true
      r.cells[key] = nil
    end
  end
  local holds = {}
  for i = 1, r.holds and #r.holds or 0, HOLD_SIZE do
    if not gone[r.holds[i]] then
      for j = 0, HOLD_SIZE - 1 do holds[#holds + 1] = r.holds[i + j] end
    end
  end
  r.holds = holds
  save(KEYS[1], r, now, tonumber(ARGV[3]))
  changed = changed + 1
end
return changed
