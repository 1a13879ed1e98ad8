-- What every script of the gate shares; it is put in front of each of them when they are loaded.
--
-- KEYS (all of one campaign, all in one hash slot)
--   1 meta     hash    epoch, run_id, quota, starts_at_ms, ends_at_ms, state, revoked, owed, reopen_at_ms, reopen_says,
--                      settings_version (of the campaign row from which quota, window and state are),
--                      installation (the ID of the ledger to which the gate belongs); and, only while they matter,
--                      put_back_at_ms, put_back_from_ms (script/put_back.lua), unsure_at_ms, closed_at_ms, told_from_ms
--   2 count    integer the highest slot handed out
--   3 users    hash    user ID -> slot:admitted_ms; slot 0 = revoked, -1 = owed a slot
--   4 free     zset    slots given back
--   5 pending  stream  one entry a batch of winners: e = epoch, w = user:slot[:admitted_ms],...
--                      without admitted_ms it is the millisecond part of the entry's ID
--   6 to 8     the users, free and pending of a rebuild, written beside the others until they are swapped in
--   9 no key: its name ends with the ID of the caller's installation. A gate that names another one is another shop's:
--     whatever is asked, it is neither read nor changed.
-- Units: all times are milliseconds since 1970 by Redis's own clock. They stay below 16 digits, which Lua's numbers
-- and their texts hold exactly; microseconds would not.
local META, COUNT, USERS, FREE, PENDING = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local NEW_USERS, NEW_FREE, NEW_PENDING = KEYS[6], KEYS[7], KEYS[8]
local INSTALLATION = string.match(KEYS[9], ':installation:(.*)$')

-- When a gate that refused everybody begins to admit, by new capacity, by other settings or by a rebuild, nobody new is
-- admitted for this long: until reopen_at_ms they hear what held before (reopen_says: S, P, N or E as in admit.lua, C for
-- a gate of which nobody knows what held). Refusals in the memory of processes live shorter, so nobody is refused from
-- memory after somebody else was admitted. A start or an end that merely comes needs no such wait: it was known.
local REOPEN_AFTER_MS = 2000

-- When a user becomes known to a gate that refuses everybody else, by a promise that is honoured or by a rebuild, no
-- process may tell the user for this long: until told_from_ms another one may refuse the user from memory. Longer than a
-- lease (refusalLease, admission/refusals.go), with room for clocks that do not run alike.
local TOLD_AFTER_MS = 1200

-- How far a gate's epoch may be ahead of what a process has seen, or of a rebuild (domain.MaxEpochLead). Rebuilds count it
-- up by one: a gate that is further ahead was edited, and if its epoch were believed, none could come after the highest.
local EPOCH_LEAD = 1000000

-- How much of the pending entries one question looks through for the users that the gate knows, while there are entries as
-- old as their admissions: at most one XRANGE a user, of so many entries of one millisecond (batches are hardly ever as
-- near as that, unless Redis's clock was set back), and so many bytes in all, which takes a few milliseconds.
local ENTRIES_OF_A_MS, SEARCHED_BYTES = 16, 8000000

-- A number from its decimal text, nil for anything else: "nan", "0x1", "1e9" and " 1" are all refused.
local function number_of(text)
  if text and #text <= 15 and string.find(text, '^%d+$') then return tonumber(text) end
end

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function type_of(key) return redis.call('TYPE', key).ok end

-- The identity of the server that runs this script: another one after every restart and failover.
local SERVER_RUN_ID = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')

-- Whose the gate is, as meta says; nil when it says nothing, as before there were such IDs.
local function owner_of_gate()
  local owner = redis.pcall('HGET', META, 'installation')
  if type(owner) == 'string' and owner ~= '' then return owner end
end
local OWNER = owner_of_gate()

-- Calls a command with any number of arguments, or those between two places: Lua can't pass thousands of them at once.
-- The chunks are even, for commands that take pairs.
local function call_in_chunks(command, key, arguments, from, to)
  to = to or #arguments
  for first = from or 1, to, 500 do
    redis.call(command, key, unpack(arguments, first, math.min(first + 499, to)))
  end
end

-- The milliseconds of the oldest pending entry; nil when there is none.
local function oldest_entry_ms()
  local entries = redis.call('XRANGE', PENDING, '-', '+', 'COUNT', 1)
  return entries[1] and tonumber(string.match(entries[1][1], '^(%d+)'))
end

-- The winners of the entries that have this millisecond in their IDs, with a comma before each; nil when those are more
-- than are read.
local function winners_at(ms)
  local entries = redis.call('XRANGE', PENDING, ms, ms, 'COUNT', ENTRIES_OF_A_MS + 1)
  if #entries > ENTRIES_OF_A_MS then return nil end
  local winners = {}
  for i = 1, #entries do winners[i] = ',' .. (entries[i][2][4] or '') end
  return table.concat(winners)
end

-- Gives a function that says whether a user who was admitted at some time is certainly in Kafka. Anybody who was admitted
-- before the oldest entry is. Of the others each hears of their own entry, so that one which stays pending makes nobody
-- else wait: winners were admitted in the millisecond of the entry's ID. Only those that a rebuild or put_back.lua placed
-- in an entry were not: while such an entry may be pending, nobody of that time is taken for one who is in Kafka. Nor
-- is who can't be looked up within the bounds of one question.
local function queue_of(gate)
  local oldest = oldest_entry_ms()
  if not oldest then return function() return true end end
  local from, placed_ms = oldest, 0
  if gate.put_back_at_ms and oldest <= gate.put_back_at_ms then
    from, placed_ms = math.min(oldest, gate.put_back_from_ms or 0), gate.put_back_at_ms
  end
  local read, bytes_left = {}, SEARCHED_BYTES
  return function(user, admitted_ms)
    local admitted = number_of(admitted_ms)
    if not admitted then return false end
    if admitted < from then return true end
    if admitted <= placed_ms or bytes_left <= 0 then return false end
    if read[admitted] == nil then read[admitted] = winners_at(admitted_ms) or false end
    local winners = read[admitted]
    if not winners then return false end
    bytes_left = bytes_left - #winners
    return not string.find(winners, ',' .. user .. ':', 1, true)
  end
end

-- How many slots may still be given to those who were promised one: as many as the quota has more than there are
-- holders, whatever the numbers of their slots. Below 0 while a lowered quota waits for holders to leave.
local function room_of(gate) return gate.quota - (gate.count - gate.free) end

-- Newcomers see only what is left once all who are owed a slot have theirs.
local function sold_out(gate)
  return gate.quota and gate.count and gate.free and gate.owed and room_of(gate) <= gate.owed
end

-- What state and window say to those that the gate doesn't know: E ended, P paused, N not started, nil nothing.
local function refusal_of(gate, now)
  if gate.state == 'ended' or now >= gate.ends_at_ms then return 'E' end
  if gate.state == 'paused' then return 'P' end
  if now < gate.starts_at_ms then return 'N' end
end

-- When state and window let users in: now, or later; nil when never.
local function opens_at_ms(gate, now)
  if gate.state == 'open' and now < gate.ends_at_ms then return math.max(now, gate.starts_at_ms) end
end

-- The reopen_at_ms and reopen_says of a gate that changes from what it was to what it will be. It waits when there is
-- capacity where there was none, or when state and window let users in sooner than they would have.
local function reopening_of(was, will, now)
  local at, says, latest = was.reopen_at_ms, was.reopen_says, now + REOPEN_AFTER_MS
  if sold_out(was) and not sold_out(will) then at, says = latest, 'S' end
  local refusal = refusal_of(was, now)
  if refusal then
    local before, after = opens_at_ms(was, now) or latest, opens_at_ms(will, now) or latest
    if after < math.min(before, latest) then at, says = math.max(at, math.min(before, latest)), refusal end
  end
  return at, says
end

-- True while nobody new is admitted although state and window would let them in. A time that is further ahead than it can
-- be means that Redis's clock was set back, and holds nobody up.
local function is_reopening(gate, now)
  return now < gate.reopen_at_ms and gate.reopen_at_ms <= now + REOPEN_AFTER_MS
end

-- In how many milliseconds those that the gate knows may be told. A time that is further ahead than it can be means that
-- Redis's clock was set back, and holds nobody up.
local function told_in_ms(told_from_ms, now)
  local left = (told_from_ms or 0) - now
  if left > 0 and left <= TOLD_AFTER_MS then return left end
  return 0
end

-- The fields of meta as numbers; a field that is missing or no number stays nil.
local function read_meta(gate)
  local meta = redis.call('HMGET', META, 'epoch', 'run_id', 'quota', 'starts_at_ms', 'ends_at_ms', 'state',
    'revoked', 'owed', 'reopen_at_ms', 'put_back_at_ms', 'put_back_from_ms', 'reopen_says', 'unsure_at_ms',
    'told_from_ms', 'closed_at_ms', 'settings_version')
  gate.epoch, gate.run_id, gate.quota = number_of(meta[1]), meta[2], number_of(meta[3])
  gate.starts_at_ms, gate.ends_at_ms, gate.state = number_of(meta[4]), number_of(meta[5]), meta[6]
  gate.revoked, gate.owed, gate.reopen_at_ms = number_of(meta[7]), number_of(meta[8]), number_of(meta[9])
  gate.put_back_at_ms, gate.put_back_from_ms = number_of(meta[10]), number_of(meta[11])
  gate.reopen_says, gate.unsure_at_ms = meta[12], number_of(meta[13])
  gate.told_from_ms, gate.closed_at_ms = number_of(meta[14]), number_of(meta[15])
  -- A gate that an older program opened has none; each row's is higher.
  gate.settings_version = number_of(meta[16]) or 0
end

-- What the other keys hold, each only if it is of its type. False: one of them is of a wrong type.
local function read_keys(gate)
  local count, users, free, pending = type_of(COUNT), type_of(USERS), type_of(FREE), type_of(PENDING)
  if count == 'string' then gate.count = number_of(redis.call('GET', COUNT)) end
  gate.users = 0
  if users == 'hash' then gate.users = redis.call('HLEN', USERS) end
  gate.free = 0
  if free == 'zset' then gate.free = redis.call('ZCARD', FREE) end
  if pending == 'stream' then gate.entries = redis.call('XLEN', PENDING) end
  return (count == 'string' or count == 'none') and (users == 'hash' or users == 'none')
    and (free == 'zset' or free == 'none') and (pending == 'stream' or pending == 'none')
end

local function complete_meta(gate)
  return gate.epoch and gate.quota and gate.starts_at_ms and gate.ends_at_ms and gate.revoked and gate.owed
    and gate.reopen_at_ms and string.find(gate.reopen_says or '', '^[SPNEC]$') and (gate.state == 'open' or gate.state == 'paused' or gate.state == 'ended')
end

-- Reads the gate and says why nobody may be admitted: nil when it is open and its state is the one that was verified.
-- seen_epoch and seen_count are the highest that the calling process has seen: lower ones mean that Redis lost writes.
-- An epoch that is far higher closes the gate only for who asks: a process that knows little may be wrong about it.
local function read_gate(seen_epoch, seen_count)
  local gate = { users = 0, free = 0 }
  local kind = type_of(META)
  local is_hash = kind == 'hash'
  if is_hash then read_meta(gate) end
  local types_fit = read_keys(gate)
  if kind == 'none' then return gate, 'missing' end
  if not is_hash then return gate, 'wrong-type' end
  if gate.run_id == '' then return gate, 'closed' end
  if gate.run_id ~= SERVER_RUN_ID then return gate, 'run-id' end
  if not OWNER and INSTALLATION ~= '' then return gate, 'no-owner' end
  if not complete_meta(gate) then return gate, 'meta' end
  if not types_fit then return gate, 'wrong-type' end
  if gate.epoch < seen_epoch then return gate, 'epoch' end
  if gate.epoch > seen_epoch + EPOCH_LEAD then return gate, 'epoch-ahead' end
  if not gate.count then return gate, 'count' end
  if gate.epoch == seen_epoch and gate.count < seen_count then return gate, 'count' end
  if not gate.entries then return gate, 'pending' end
  if gate.users - gate.revoked - gate.owed + gate.free ~= gate.count then return gate, 'sum' end
  return gate, nil
end

-- Closes the gate for everybody, until it is rebuilt, and gives the answer that says why.
local function shut(why)
  if why ~= 'missing' and type_of(META) == 'hash' then redis.call('HSET', META, 'run_id', '') end
  return { 'CLOSED', why }
end

-- True when the rebuild that asks is still the one that may write: the gate is closed, at its epoch, on its server.
local function is_my_rebuild(epoch, run_id)
  if type_of(META) ~= 'hash' then return false end
  local meta = redis.call('HMGET', META, 'epoch', 'run_id')
  return meta[1] == epoch and meta[2] == '' and SERVER_RUN_ID == run_id
end

if not SERVER_RUN_ID then return { 'CLOSED', 'no-run-id' } end
if OWNER and INSTALLATION ~= '' and OWNER ~= INSTALLATION then return { 'CLOSED', 'foreign' } end
