-- Decides a batch of applications in their order, and notes the new winners as pending in the same step.
--
-- ARGV  1 highest epoch seen, 2 highest count seen under it, 3 'admit' or 'honour', 4.. user IDs
--       'honour' is for users that a promise was made to: it passes over state, window and lease, and gives a user who
--       is owed a slot the next one. When none is left but those of users who are owed one, a user who is not known yet
--       becomes one who is owed: nobody with a promise may be told "sold out" later. Newcomers get only what is left
--       once all who are owed a slot have theirs.
-- reply {'OK', epoch, count, entry ID or '', milliseconds until the start or 0, one item a user joined by ',',
--        milliseconds until those who are known may be told or 0}, or {'CLOSED', why}
--       items: +slot new; =slot admitted earlier in this batch; slot:admitted_ms known (0 revoked, -1 owed), with a ?
--       behind it when the record is perhaps not in Kafka;
--       S sold out, N not started, P paused, E ended, C nobody new yet: the gate was rebuilt after a loss
-- Why atomic: who is within the quota must be one decision; and a winner without a pending entry would be lost by a
-- crash of the process. Every read comes before the first write, and the first write is the one that Redis refuses when
-- it is out of memory, so a failed call changes nothing. Called twice, it answers the same slot.
local gate, why = read_gate(tonumber(ARGV[1]), tonumber(ARGV[2]))
-- What only this process could notice must be seen by the others, and by the rebuild, too.
if why == 'epoch' or why == 'count' then return shut(why) end
if why then return { 'CLOSED', why } end

local honour = ARGV[3] == 'honour'
local now = now_ms()
local users = {}
for i = 4, #ARGV do users[i - 3] = ARGV[i] end

local known = {}
for first = 1, #users, 500 do
  local values = redis.call('HMGET', USERS, unpack(users, first, math.min(first + 499, #users)))
  for i = 1, #values do known[first + i - 1] = values[i] end
end

-- The lowest free slots, as many as this batch could need.
local free = {}
if gate.free > 0 then
  free = redis.call('ZRANGEBYSCORE', FREE, '-inf', gate.quota, 'LIMIT', 0, #users)
  for i = 1, #free do
    if not number_of(free[i]) then return shut('free') end
  end
end

local refusal
if not honour then
  refusal = refusal_of(gate, now)
  if not refusal and is_reopening(gate, now) and not sold_out(gate) then refusal = gate.reopen_says end
end

local count, owed, used, room = gate.count, gate.owed, 0, room_of(gate)
-- Anybody who is owed a slot has one reserved; all others have what is beyond that. The lowest free slot is within the quota
-- while there are fewer holders than the quota says, even where somebody holds a slot above it.
local function next_slot(is_owed)
  local open = room
  if not is_owed then open = room - owed end
  if open <= 0 then return nil end
  room = room - 1
  if used < #free then
    used = used + 1
    return free[used]
  end
  if count < gate.quota then
    count = count + 1
    return string.format('%d', count)
  end
end

local items, winners, pending, this_batch, is_in_kafka = {}, {}, {}, {}, nil
local waiting, is_waiting, becomes_known = {}, {}, false
for i = 1, #users do
  local user, value = users[i], known[i]
  local is_owed, admitted_ms = false, nil
  if value then
    local slot
    slot, admitted_ms = string.match(value, '^(%-?%d+):(%d+)$')
    if not slot then return shut('users') end
    is_owed = slot == '-1'
  end
  if this_batch[user] then
    items[i] = '=' .. this_batch[user]
  elseif value and not (honour and is_owed) then
    is_in_kafka = is_in_kafka or queue_of(gate)
    items[i] = value .. (is_in_kafka(user, admitted_ms) and '' or '?')
  elseif refusal then
    items[i] = refusal
  else
    local slot = next_slot(is_owed)
    becomes_known = becomes_known or honour and not value
    if slot then
      if is_owed then owed = owed - 1 end
      this_batch[user] = slot
      items[i] = '+' .. slot
      winners[#winners + 1] = user
      pending[#pending + 1] = user .. ':' .. slot
    else
      items[i] = 'S'
      if honour and not value and not is_waiting[user] then
        is_waiting[user] = true
        waiting[#waiting + 1] = user
        waiting[#waiting + 1] = '-1:' .. string.format('%d', now)
        owed = owed + 1
      end
    end
  end
end

local entry = ''
if #winners > 0 then
  entry = redis.call('XADD', PENDING, '*', 'e', gate.epoch, 'w', table.concat(pending, ','))
  local admitted = ':' .. string.match(entry, '^(%d+)')
  local values, taken = {}, {}
  for i = 1, #winners do
    values[2 * i - 1], values[2 * i] = winners[i], this_batch[winners[i]] .. admitted
  end
  for i = 1, used do taken[i] = free[i] end
  call_in_chunks('HSET', USERS, values)
  call_in_chunks('ZREM', FREE, taken)
  if count ~= gate.count then redis.call('SET', COUNT, count) end
end
call_in_chunks('HSET', USERS, waiting)
if owed ~= gate.owed then redis.call('HSET', META, 'owed', owed) end

local told_from_ms = gate.told_from_ms
if becomes_known and (refusal_of(gate, now) or sold_out(gate) or is_reopening(gate, now)) then
  told_from_ms = now + TOLD_AFTER_MS
  redis.call('HSET', META, 'told_from_ms', string.format('%d', told_from_ms))
end

local wait_ms = 0
if refusal == 'N' then wait_ms = math.max(gate.starts_at_ms, is_reopening(gate, now) and gate.reopen_at_ms or 0) - now end
return { 'OK', gate.epoch, count, entry, wait_ms, table.concat(items, ','), told_in_ms(told_from_ms, now) }
