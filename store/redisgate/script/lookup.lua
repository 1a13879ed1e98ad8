-- Gives one user's slot, changing nothing.
--
-- ARGV  1 highest epoch seen, 2 highest count seen under it, 3 user ID
-- reply {'OK', epoch, count, slot:admitted_ms or '', 1 when the record is certainly in Kafka, else 0,
--        milliseconds until those who are known may be told or 0}, {'CLOSED', why}
-- Why atomic: the slot and the pending entries must be of the same moment, else a user whose record is not in Kafka yet
-- could be told that it is.
local gate, why = read_gate(tonumber(ARGV[1]), tonumber(ARGV[2]))
if why then return { 'CLOSED', why } end
local value = redis.call('HGET', USERS, ARGV[3]) or ''
local is_in_kafka = queue_of(gate)(ARGV[3], string.match(value, ':(%d+)$'))
return { 'OK', gate.epoch, gate.count, value, is_in_kafka and 1 or 0, told_in_ms(gate.told_from_ms, now_ms()) }
