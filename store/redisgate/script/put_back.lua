-- Makes a pending entry for a winner whose record was lost, so that it is sent to Kafka again.
--
-- ARGV  1 epoch, 2 user ID, 3 slot
-- reply {'OK', 1 when the entry was made, else 0}
-- It is made only if the gate, open or closed, is at that epoch and says that the user holds that slot: then the record
-- says what holds, and a second one does no harm. The entry states when the user was admitted, as its own ID is later;
-- meta notes the newest such entry (put_back_at_ms) and the earliest admission in one (put_back_from_ms), so that
-- nobody is told to be in Kafka who is not.
-- Why atomic: between the look and the entry the user could be revoked, or the gate be rebuilt.
if type_of(META) ~= 'hash' or type_of(USERS) ~= 'hash' or type_of(PENDING) ~= 'stream' then return { 'OK', 0 } end
if redis.call('HGET', META, 'epoch') ~= ARGV[1] then return { 'OK', 0 } end
local slot, admitted = string.match(redis.call('HGET', USERS, ARGV[2]) or '', '^(%d+):(%d+)$')
if slot ~= ARGV[3] or slot == '0' then return { 'OK', 0 } end
local gate = {}
read_meta(gate)
local from, oldest = tonumber(admitted), oldest_entry_ms()
if oldest and gate.put_back_at_ms and oldest <= gate.put_back_at_ms then
  from = math.min(from, gate.put_back_from_ms or 0)
end
local entry = redis.call('XADD', PENDING, '*', 'e', ARGV[1], 'w', ARGV[2] .. ':' .. slot .. ':' .. admitted)
redis.call('HSET', META, 'put_back_at_ms', string.match(entry, '^(%d+)'), 'put_back_from_ms', string.format('%d', from))
return { 'OK', 1 }
