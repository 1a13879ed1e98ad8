-- Marks a user revoked and frees the slot, if the gate says that the user holds it.
--
-- ARGV  1 highest epoch seen, 2 highest count seen under it, 3 user ID, 4 slot that the revoked coupon had
-- reply {'OK', epoch, count}, {'CLOSED', why}
-- A slot that is freed, or no longer owed, is for newcomers only where nobody else is owed it; they then wait
-- REOPEN_AFTER_MS when the campaign was sold out.
-- A user who holds another slot than the ledger says is a contradiction, and those are not patched slot by slot: the
-- user is marked, and the gate is closed until a rebuild has put it right.
-- Why atomic: the slot may be freed once only, and only while it is this user's. Called twice, the second changes nothing.
local gate, why = read_gate(tonumber(ARGV[1]), tonumber(ARGV[2]))
if why then return { 'CLOSED', why } end
local user, freed = ARGV[3], ARGV[4]
local now = now_ms()
local value = redis.call('HGET', USERS, user)
local slot, admitted
if value then
  slot, admitted = string.match(value, '^(%-?%d+):(%d+)$')
  if not slot then return shut('users') end
end
if slot == '0' then return { 'OK', gate.epoch, gate.count } end

redis.call('HSET', USERS, user, '0:' .. (admitted or string.format('%d', now)))
redis.call('HSET', META, 'revoked', gate.revoked + 1)
local will = { quota = gate.quota, count = gate.count, free = gate.free, owed = gate.owed }
if slot == '-1' then
  will.owed = gate.owed - 1
  redis.call('HSET', META, 'owed', will.owed)
elseif slot and slot == freed then
  will.free = gate.free + 1
  redis.call('ZADD', FREE, slot, slot)
elseif slot then
  return shut('disputed')
end
if sold_out(gate) and not sold_out(will) then
  redis.call('HSET', META, 'reopen_at_ms', string.format('%d', now + REOPEN_AFTER_MS), 'reopen_says', 'S')
end
return { 'OK', gate.epoch, gate.count }
