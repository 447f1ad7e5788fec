-- The gateway limiter, run inside Redis so that all processes share one rate and one set of places.
-- paytabs/limiter_local.py holds the same rules for a process that cannot reach Redis; a test compares the two.
--
-- Under a clock that is given nothing expires: the server forgets by its own, which goes on meanwhile.
--
-- KEYS  1 when the next call would be due by the even rate, in microseconds (GCRA's theoretical arrival time)
--       2 the places taken (sorted set: token by the end of its lease)
-- ARGV  1 reserve, take or give   2 the time in microseconds, empty for the server's own
--       reserve: 3 the interval between two calls, 4 how many may go at once, 5 the longest wait worth reserving
--       take: 3 the token, 4 how many places there are, 5 the lease         give: 3 the token
local action = ARGV[1]
local now = tonumber(ARGV[2])
local forgets = not now
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end

-- Lua would write a number this large with an exponent, and lose its last digits.
local function whole(number) return string.format('%.0f', number) end

if action == 'reserve' then
  local interval_us, at_once, longest_us = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
  local due = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)
  local wait_us = math.max(0, due - (at_once - 1) * interval_us - now)
  if wait_us > longest_us then return {0, wait_us} end
  redis.call('SET', KEYS[1], whole(due + interval_us))
  if forgets then redis.call('PEXPIRE', KEYS[1], math.ceil((due + interval_us - now) / 1000)) end
  return {1, wait_us}
elseif action == 'take' then
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', whole(now))
  if redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[4]) then return {0, 0} end
  redis.call('ZADD', KEYS[2], whole(now + ARGV[5]), ARGV[3])
  if forgets then redis.call('PEXPIRE', KEYS[2], math.ceil(ARGV[5] / 1000)) end
  return {1, 0}
end
return {redis.call('ZREM', KEYS[2], ARGV[3]), 0}
