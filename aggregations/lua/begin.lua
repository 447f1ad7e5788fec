-- Take the turn to build an entry: a lock with a lease, a fence above every earlier one, and the tags' tokens as they
-- are now. A tag without a token gets one, so that a token which is evicted later is a miss.
--
-- KEYS  1 the lock, 2 the last fence given, 3… the tokens of the tags
-- ARGV  1 the lease in milliseconds, 2 how long the fence is kept and 3 how long a token is, in seconds
--       4 a random text that new tokens begin with
-- Gives nothing while another holds the lock, else the fence, the server's run and the tokens.
if redis.call('EXISTS', KEYS[1]) == 1 then return {} end

-- By the clock, so that a fence which was evicted or lost does not begin again at one.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
-- Lua would write a number this large with an exponent, and lose its last digits.
local fence = string.format('%.0f', math.max(now, tonumber(redis.call('GET', KEYS[2]) or '0') + 1))
redis.call('SET', KEYS[2], fence, 'EX', ARGV[2])
redis.call('SET', KEYS[1], fence, 'PX', ARGV[1])

local turn = {fence, string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')}
for i = 3, #KEYS do
  redis.call('SET', KEYS[i], ARGV[4] .. i, 'NX', 'EX', ARGV[3])
  turn[i] = redis.call('GET', KEYS[i])
end
return turn
