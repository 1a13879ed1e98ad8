-- Does with keys of its own what the other scripts do with a campaign's, and leaves nothing behind.
--
-- ARGV  none
-- reply {'OK'}, {'CLOSED', why}
-- Why a script: what matters is whether Redis lets scripts run each of these commands, and takes writes now. It refuses
-- here what it would refuse there: to a user without the right, as a replica, or when it is out of memory.
now_ms()
local entry = redis.call('XADD', PENDING, '*', 'e', '0')
oldest_entry_ms()
redis.call('XLEN', PENDING)
redis.call('XDEL', PENDING, entry)
redis.call('HSET', META, 'epoch', '0')
redis.call('HGET', META, 'epoch')
redis.call('HMGET', META, 'epoch')
redis.call('HLEN', META)
redis.call('HSCAN', META, '0')
redis.call('SET', COUNT, '1')
redis.call('GET', COUNT)
redis.call('ZADD', FREE, '1', '1')
redis.call('ZCARD', FREE)
redis.call('ZRANGEBYSCORE', FREE, '-inf', '+inf')
redis.call('ZREM', FREE, '1')
redis.call('RENAME', COUNT, USERS)
redis.call('EXISTS', USERS)
type_of(USERS)
redis.call('UNLINK', META, COUNT, USERS, PENDING)
return { 'OK' }
