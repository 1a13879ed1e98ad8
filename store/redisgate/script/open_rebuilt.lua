-- Swaps a rebuild's keys in and opens the gate.
--
-- ARGV  1 epoch of the rebuild, 2 run_id it began under, 3 quota, 4 starts_at_ms, 5 ends_at_ms, 6 state, 7 highest slot,
--       8 how many users were written, 9 revoked ones among them, 10 owed ones, 11 pending entries
-- reply {'OK'}, {'OVERTAKEN'}, {'DIFFERENT'}: the keys don't hold what was written; nothing is changed
-- Why atomic: nobody may be admitted by half of the old state and half of the new. Renaming and unlinking take the same
-- short time however many winners there are.
if not is_my_rebuild(ARGV[1], ARGV[2]) then return { 'OVERTAKEN' } end
local highest, users = tonumber(ARGV[7]), tonumber(ARGV[8])
local holders = users - tonumber(ARGV[9]) - tonumber(ARGV[10])
if redis.call('HLEN', NEW_USERS) ~= users or redis.call('ZCARD', NEW_FREE) ~= highest - holders
  or redis.call('XLEN', NEW_PENDING) ~= tonumber(ARGV[11]) or redis.call('EXISTS', NEW_PENDING) == 0 then
  return { 'DIFFERENT' }
end

-- Flags that say sold out may still be set in processes: the lease of the old gate goes on, or begins now.
local old = { }
read_meta(old)
read_keys(old)
local reopen_at_ms = old.reopen_at_ms or 0
if sold_out(old) and (highest < tonumber(ARGV[3]) or holders < highest) then
  reopen_at_ms = math.max(reopen_at_ms, now_ms() + REOPEN_AFTER_MS)
end

redis.call('SET', COUNT, ARGV[7])
redis.call('UNLINK', USERS, FREE, PENDING)
if users > 0 then redis.call('RENAME', NEW_USERS, USERS) end
if highest > holders then redis.call('RENAME', NEW_FREE, FREE) end
redis.call('RENAME', NEW_PENDING, PENDING)
redis.call('UNLINK', META)
redis.call('HSET', META, 'epoch', ARGV[1], 'run_id', ARGV[2], 'quota', ARGV[3], 'starts_at_ms', ARGV[4],
  'ends_at_ms', ARGV[5], 'state', ARGV[6], 'revoked', ARGV[9], 'owed', ARGV[10],
  'reopen_at_ms', string.format('%d', reopen_at_ms))
return { 'OK' }
