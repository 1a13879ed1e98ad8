-- Closes the gate for a rebuild and empties the keys that the rebuild writes.
--
-- ARGV  1 epoch of the rebuild
-- reply {'OK', run_id of this server, 1 when unsure_at_ms was noted, else 0, now in ms}, {'OVERTAKEN', epoch of the gate}
-- The old users, free slots and pending entries stay: the rebuild reads the pending ones. So do quota, window and state
-- of an old gate that is open; of any other but one that was never opened (a first epoch) nobody knows what it last said,
-- and unsure_at_ms notes that it is closed by now.
-- Why atomic: of two rebuilds the one with the higher epoch goes on, whichever comes first. From here on meta names its
-- epoch, and every step of another rebuild refuses. An epoch that can't be one is overwritten.
local old, why = read_gate(0, 0)
local epoch = old.epoch or 0
if epoch >= tonumber(ARGV[1]) and epoch <= tonumber(ARGV[1]) + EPOCH_LEAD then return { 'OVERTAKEN', epoch } end
if type_of(META) ~= 'hash' then redis.call('UNLINK', META) end
local now = string.format('%d', now_ms())
redis.call('HSET', META, 'epoch', ARGV[1], 'run_id', '', 'installation', INSTALLATION)
if tonumber(ARGV[1]) > 1 then
  redis.call('HSET', META, 'closed_at_ms', now)
  if why then redis.call('HSET', META, 'unsure_at_ms', now) end
end
redis.call('UNLINK', NEW_USERS, NEW_FREE, NEW_PENDING)
-- An emptied stream stays, and an open gate always has one. IDs made of real times all come after this one.
redis.call('XDEL', NEW_PENDING, redis.call('XADD', NEW_PENDING, '0-1', 'e', ARGV[1]))
return { 'OK', SERVER_RUN_ID, why and tonumber(ARGV[1]) > 1 and 1 or 0, tonumber(now) }
