-- Purpose: the load of wrk. Each request applies for a user who has not applied before, and a line of JSON is printed
-- at the end. Arguments, after wrk's "--": the lowest user ID, a number of 12 digits. Each thread takes the users from
-- that one plus its number times 100 million on, so no two requests of a run have the same user.

local threads = 0

function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

function init(args)
  user = tonumber(args[1]) + number * 100000000
  -- The length of the body never changes, so all of a request but the user is made once.
  head = "POST " .. wrk.path .. " HTTP/1.1\r\nHost: " .. wrk.headers["Host"] ..
    "\r\nContent-Type: application/json\r\nContent-Length: 24\r\n\r\n{\"user_id\":"
end

function request()
  user = user + 1
  return head .. string.format("%d", user) .. "}"
end

function done(summary, latency, requests)
  local e = summary.errors
  local text = string.format('{"requests":%d,"duration_us":%d,"above_399":%d,"failed":%d,"latency_us":{',
    summary.requests, summary.duration, e.status, e.connect + e.read + e.write + e.timeout)
  for i, p in ipairs({ 50, 75, 90, 95, 99, 99.5, 99.9, 100 }) do
    text = text .. string.format('%s"%g":%d', i > 1 and "," or "", p, latency:percentile(p))
  end
  print(text .. "}}")
end
