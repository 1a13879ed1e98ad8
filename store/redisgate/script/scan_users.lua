-- Gives one page of the users, of a closed gate too, changing nothing.
--
-- ARGV  1 cursor, '0' for the first page; 2 about how many at once
-- reply {'OK', cursor of the next page or '0' at the end, {user ID, slot:admitted_ms, ...}}
-- Why a script: a missing key or one of a wrong type is an empty page here, and not an error.
if type_of(USERS) ~= 'hash' then return { 'OK', '0', {} } end
local page = redis.call('HSCAN', USERS, ARGV[1], 'COUNT', ARGV[2])
return { 'OK', page[1], page[2] }
