-- Gives one user's slot, changing nothing.
--
-- ARGV  1 highest epoch seen, 2 highest count seen under it, 3 user ID
-- reply {'OK', epoch, count, slot:admitted_ms or '', milliseconds of the oldest pending entry or '',
--        milliseconds until those who are known may be told or 0}, {'CLOSED', why}
-- Why atomic: the slot and the oldest pending entry must be of the same moment, else a user whose record is not in
-- Kafka yet could be told that it is.
local gate, why = read_gate(tonumber(ARGV[1]), tonumber(ARGV[2]))
if why then return { 'CLOSED', why } end
return { 'OK', gate.epoch, gate.count, redis.call('HGET', USERS, ARGV[3]) or '', oldest_pending_ms(gate),
  told_in_ms(gate.told_from_ms, now_ms()) }
