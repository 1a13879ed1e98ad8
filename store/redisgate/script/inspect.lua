-- Reports what the gate holds, a closed one too, changing nothing.
--
-- ARGV  1 highest epoch seen, 2 highest count seen under it
-- reply {'OK', why closed or '', epoch, quota, starts_at_ms, ends_at_ms, state, count, free, winners (owed ones
--        included), revoked, pending entries, milliseconds of the oldest of them or '', now in ms, owed, settings version}
-- Why atomic: the numbers are compared with each other, so they must be of the same moment.
local gate, why = read_gate(tonumber(ARGV[1]), tonumber(ARGV[2]))
local oldest = gate.entries and oldest_entry_ms()
return { 'OK', why or '', gate.epoch or 0, gate.quota or 0, gate.starts_at_ms or 0, gate.ends_at_ms or 0,
  gate.state or '', gate.count or 0, gate.free, math.max(gate.users - (gate.revoked or 0), 0), gate.revoked or 0,
  gate.entries or 0, oldest and string.format('%d', oldest) or '', now_ms(), gate.owed or 0,
  gate.settings_version or 0 }
