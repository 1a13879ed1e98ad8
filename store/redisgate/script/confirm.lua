-- Removes pending entries whose records are durable.
--
-- ARGV  1 highest epoch seen, 2 highest count seen under it, then pairs: epoch of the admission, entry ID
-- reply {'OK', epoch, count}: entries of that epoch are gone, those of another one are untouched; {'CLOSED', why}
-- Why atomic: an entry may go only under the epoch under which it was read. After a rebuild the same ID can name another
-- entry, and the confirmed slot may no longer be the user's.
local gate, why = read_gate(tonumber(ARGV[1]), tonumber(ARGV[2]))
if why then return { 'CLOSED', why } end
local done = {}
for i = 3, #ARGV, 2 do
  if number_of(ARGV[i]) == gate.epoch then done[#done + 1] = ARGV[i + 1] end
end
call_in_chunks('XDEL', PENDING, done)
return { 'OK', gate.epoch, gate.count }
