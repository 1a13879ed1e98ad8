-- Makes a pending entry for a winner whose record was lost, so that it is sent to Kafka again.
--
-- ARGV  1 epoch, 2 user ID, 3 slot
-- reply {'OK', 1 when the entry was made, else 0}
-- It is made only if the gate, open or closed, is at that epoch and says that the user holds that slot: then the record
-- says what holds, and a second one does no harm. The entry states when the user was admitted, as its own ID is later.
-- Why atomic: between the look and the entry the user could be revoked, or the gate be rebuilt.
if type_of(META) ~= 'hash' or type_of(USERS) ~= 'hash' or type_of(PENDING) ~= 'stream' then return { 'OK', 0 } end
if redis.call('HGET', META, 'epoch') ~= ARGV[1] then return { 'OK', 0 } end
local slot, admitted = string.match(redis.call('HGET', USERS, ARGV[2]) or '', '^(%d+):(%d+)$')
if slot ~= ARGV[3] or slot == '0' then return { 'OK', 0 } end
redis.call('XADD', PENDING, '*', 'e', ARGV[1], 'w', ARGV[2] .. ':' .. slot .. ':' .. admitted)
return { 'OK', 1 }
