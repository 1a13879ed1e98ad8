-- Gives one page of the free slots in their order, of a closed gate too, changing nothing.
--
-- ARGV  1 slot after which to start, 2 how many at most
-- reply {'OK', {slot, ...}}
-- Why a script: a missing key or one of a wrong type is an empty page here, and not an error.
if type_of(FREE) ~= 'zset' then return { 'OK', {} } end
return { 'OK', redis.call('ZRANGEBYSCORE', FREE, '(' .. ARGV[1], '+inf', 'LIMIT', 0, ARGV[2]) }
