-- Closes the gate when it says what the ledger contradicts: that the user holds the slot.
--
-- ARGV  1 epoch of the disputed winner, 2 user ID, 3 slot
-- reply {'OK', 1 when the gate was closed, else 0}
-- Why atomic: a gate that was rebuilt since must not be closed again by an old contradiction.
if type_of(META) ~= 'hash' or type_of(USERS) ~= 'hash' then return { 'OK', 0 } end
local meta = redis.call('HMGET', META, 'epoch', 'run_id')
local epoch = number_of(meta[1])
local slot = string.match(redis.call('HGET', USERS, ARGV[2]) or '', '^(%-?%d+):')
if not epoch or epoch > tonumber(ARGV[1]) or slot ~= ARGV[3] or meta[2] == '' then return { 'OK', 0 } end
redis.call('HSET', META, 'run_id', '')
return { 'OK', 1 }
