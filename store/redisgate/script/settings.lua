-- Brings quota, window and state in line with the campaign row.
--
-- ARGV  1 highest epoch seen, 2 highest count seen under it, 3 epoch of the row, 4 quota, 5 starts_at_ms, 6 ends_at_ms,
--       7 state, 8 version of these settings
-- reply {'OK', epoch, count}; {'EPOCH'} the gate is at another epoch; {'OLD'} the gate has settings of a newer version;
--       nothing is changed in both cases; {'CLOSED', why}
-- Who is let in by these settings and was refused under those before is let in after REOPEN_AFTER_MS. A quota below the
-- number of holders takes nothing from them: nobody gets a slot until they are fewer.
-- Why atomic: between the look at the version and the write a newer row could be brought, and a frozen caller's older one
-- would then undo a pause, an end or a lower quota.
local gate, why = read_gate(tonumber(ARGV[1]), tonumber(ARGV[2]))
if why then return { 'CLOSED', why } end
if gate.epoch ~= tonumber(ARGV[3]) then return { 'EPOCH' } end
if tonumber(ARGV[8]) < gate.settings_version then return { 'OLD' } end
local reopen_at_ms, reopen_says = reopening_of(gate, {
  quota = tonumber(ARGV[4]), count = gate.count, free = gate.free, owed = gate.owed,
  starts_at_ms = tonumber(ARGV[5]), ends_at_ms = tonumber(ARGV[6]), state = ARGV[7],
}, now_ms())
redis.call('HSET', META, 'quota', ARGV[4], 'starts_at_ms', ARGV[5], 'ends_at_ms', ARGV[6], 'state', ARGV[7],
  'settings_version', ARGV[8],
  'reopen_at_ms', string.format('%d', reopen_at_ms), 'reopen_says', reopen_says)
return { 'OK', gate.epoch, gate.count }
