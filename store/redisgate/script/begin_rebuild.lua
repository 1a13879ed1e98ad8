-- Closes the gate for a rebuild and empties the keys that the rebuild writes.
--
-- ARGV  1 epoch of the rebuild
-- reply {'OK', run_id of this server}, {'OVERTAKEN', epoch of the gate}
-- The old users, free slots and pending entries stay: the rebuild reads the pending ones.
-- Why atomic: of two rebuilds the one with the higher epoch goes on, whichever comes first. From here on meta names its
-- epoch, and every step of another rebuild refuses.
local kind, epoch = type_of(META), nil
if kind == 'hash' then epoch = number_of(redis.call('HGET', META, 'epoch')) end
if (epoch or 0) >= tonumber(ARGV[1]) then return { 'OVERTAKEN', epoch } end
if kind ~= 'hash' then redis.call('UNLINK', META) end
redis.call('HSET', META, 'epoch', ARGV[1], 'run_id', '')
redis.call('UNLINK', NEW_USERS, NEW_FREE, NEW_PENDING)
-- An emptied stream stays, and an open gate always has one. IDs made of real times all come after this one.
redis.call('XDEL', NEW_PENDING, redis.call('XADD', NEW_PENDING, '0-1', 'e', ARGV[1]))
return { 'OK', server_run_id() }
