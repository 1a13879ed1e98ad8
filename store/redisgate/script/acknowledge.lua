-- Removes pending entries whose records are durable.
--
-- ARGV  1 highest epoch seen, 2 highest count seen under it, 3 epoch of the admission, 4.. entry IDs
-- reply {'OK', epoch, count}: at another epoch than the admission's nothing was removed; {'CLOSED', why}
-- Why atomic: an entry may go only under the epoch under which it was read. After a rebuild the same ID can name another
-- entry, and the confirmed slot may no longer be the user's.
local gate, why = read_gate(tonumber(ARGV[1]), tonumber(ARGV[2]))
if why then return { 'CLOSED', why } end
if number_of(ARGV[3]) == gate.epoch then call_in_chunks('XDEL', PENDING, ARGV, 4) end
return { 'OK', gate.epoch, gate.count }
