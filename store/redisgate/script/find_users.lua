-- Gives what some users hold, of a closed gate too, changing nothing.
--
-- ARGV  user IDs, at most 500
-- reply {'OK', {slot:admitted_ms or '', one a user}}
-- Why a script: a missing key or one of a wrong type means that nobody is known, and is not an error.
local values = {}
if type_of(USERS) == 'hash' then values = redis.call('HMGET', USERS, unpack(ARGV)) end
for i = 1, #ARGV do values[i] = values[i] or '' end
return { 'OK', values }
