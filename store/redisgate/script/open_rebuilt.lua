-- Swaps a rebuild's keys in and opens the gate.
--
-- ARGV  1 epoch of the rebuild, 2 run_id it began under, 3 quota, 4 starts_at_ms, 5 ends_at_ms, 6 state, 7 highest slot,
--       8 how many users were written, 9 revoked ones among them, 10 owed ones, 11 pending entries,
--       12 put_back_at_ms, or 0 when nothing is pending, 13 put_back_from_ms (script/put_back.lua),
--       14 version of the settings
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

-- Processes may still refuse from memory what the old gate refused. When nobody knows what that was, they may refuse
-- anything until REOPEN_AFTER_MS after the rebuild began: since then the gate was closed.
local old, reopen_at_ms, reopen_says = { }, 0, 'S'
read_meta(old)
read_keys(old)
if old.unsure_at_ms then
  reopen_at_ms, reopen_says = old.unsure_at_ms + REOPEN_AFTER_MS, 'C'
elseif complete_meta(old) and old.count then
  reopen_at_ms, reopen_says = reopening_of(old, {
    quota = tonumber(ARGV[3]), starts_at_ms = tonumber(ARGV[4]), ends_at_ms = tonumber(ARGV[5]), state = ARGV[6],
    count = highest, free = highest - holders, owed = tonumber(ARGV[10]),
  }, now_ms())
end

redis.call('SET', COUNT, ARGV[7])
redis.call('UNLINK', USERS, FREE, PENDING)
if users > 0 then redis.call('RENAME', NEW_USERS, USERS) end
if highest > holders then redis.call('RENAME', NEW_FREE, FREE) end
redis.call('RENAME', NEW_PENDING, PENDING)
redis.call('UNLINK', META)
redis.call('HSET', META, 'epoch', ARGV[1], 'run_id', ARGV[2], 'quota', ARGV[3], 'starts_at_ms', ARGV[4],
  'installation', INSTALLATION, 'ends_at_ms', ARGV[5], 'state', ARGV[6], 'settings_version', ARGV[14],
  'revoked', ARGV[9], 'owed', ARGV[10],
  'reopen_at_ms', string.format('%d', reopen_at_ms), 'reopen_says', reopen_says)
-- Those that the old gate did not know may be refused from memory until a lease after it was closed.
if old.closed_at_ms then
  redis.call('HSET', META, 'told_from_ms', string.format('%d', old.closed_at_ms + TOLD_AFTER_MS))
end
if ARGV[12] ~= '0' then redis.call('HSET', META, 'put_back_at_ms', ARGV[12], 'put_back_from_ms', ARGV[13]) end
return { 'OK' }
