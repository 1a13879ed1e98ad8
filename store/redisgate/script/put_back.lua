-- Makes a pending entry for a winner whose record was lost, so that it is sent to Kafka again.
--
-- ARGV  1 epoch, 2 user ID, 3 slot
-- reply {'OK', 1 when the entry was made, else 0}
-- It is made only if the gate, open or closed, is at that epoch and says that the user holds that slot: then the record
-- says what holds, and a second one does no harm. The entry states when the user was admitted, as its own ID is later;
-- meta notes the last millisecond in which such an entry, or an admission in one, may be (put_back_at_ms) and that of the
-- earliest admission (put_back_from_ms), so that nobody is told to be in Kafka who is not. An admission comes after the
-- entry where Redis's clock, or the server, was another one.
-- Why atomic: between the look and the entry the user could be revoked, or the gate be rebuilt.
if type_of(META) ~= 'hash' or type_of(USERS) ~= 'hash' or type_of(PENDING) ~= 'stream' then return { 'OK', 0 } end
if redis.call('HGET', META, 'epoch') ~= ARGV[1] then return { 'OK', 0 } end
local slot, admitted = string.match(redis.call('HGET', USERS, ARGV[2]) or '', '^(%d+):(%d+)$')
if slot ~= ARGV[3] or slot == '0' then return { 'OK', 0 } end
local gate = {}
read_meta(gate)
local from, to, oldest = tonumber(admitted), tonumber(admitted), oldest_entry_ms()
if oldest and gate.put_back_at_ms and oldest <= gate.put_back_at_ms then
  from, to = math.min(from, gate.put_back_from_ms or 0), math.max(to, gate.put_back_at_ms)
end
local entry = redis.call('XADD', PENDING, '*', 'e', ARGV[1], 'w', ARGV[2] .. ':' .. slot .. ':' .. admitted)
to = math.max(to, tonumber(string.match(entry, '^(%d+)')))
redis.call('HSET', META, 'put_back_at_ms', string.format('%d', to), 'put_back_from_ms', string.format('%d', from))
return { 'OK', 1 }
