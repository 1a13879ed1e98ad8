-- Adds users, free slots and pending entries to a rebuild's own keys.
--
-- ARGV  1 epoch of the rebuild, 2 run_id it began under, 3 how many users, 4 how many free slots, then
--       user ID and slot:admitted_ms for each user, slot for each free slot, entry ID and w for each pending entry
-- reply {'OK'}, {'OVERTAKEN'}
-- Why atomic: a rebuild that was overtaken while it was frozen must not write into the keys of its successor.
if not is_my_rebuild(ARGV[1], ARGV[2]) then return { 'OVERTAKEN' } end
local users_end = 4 + 2 * tonumber(ARGV[3])
local free_end = users_end + tonumber(ARGV[4])
for i = free_end + 1, #ARGV, 2 do
  redis.call('XADD', NEW_PENDING, ARGV[i], 'e', ARGV[1], 'w', ARGV[i + 1])
end
local free = {}
for i = users_end + 1, free_end do
  free[#free + 1] = ARGV[i]
  free[#free + 1] = ARGV[i]
end
call_in_chunks('HSET', NEW_USERS, ARGV, 5, users_end)
call_in_chunks('ZADD', NEW_FREE, free)
return { 'OK' }
