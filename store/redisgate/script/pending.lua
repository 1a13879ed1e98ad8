-- Gives pending entries, oldest first, of a closed gate too.
--
-- ARGV  1 '-' or '(' and the entry ID after which to start, 2 how many at most
-- reply {'OK', now in ms, entries as XRANGE gives them}
-- Why a script: the age of an entry is counted by the clock that made its ID, and a wrong type is not an error here.
if type_of(PENDING) ~= 'stream' then return { 'OK', now_ms(), {} } end
return { 'OK', now_ms(), redis.call('XRANGE', PENDING, ARGV[1], '+', 'COUNT', ARGV[2]) }
