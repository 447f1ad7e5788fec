-- The circuit breaker's rules, run inside Redis so that all processes see one state and one clock.
-- paytabs/breaker_local.py holds the same rules for a process that cannot reach Redis; a test compares the two.
--
-- Under a clock that is given nothing expires: the server forgets by its own, which goes on meanwhile.
--
-- KEYS  1 the state (hash), 2 the calls of the rolling window (sorted set by time), 3 those of them that failed
-- ARGV  1 admit, record or peek   2 the time in microseconds, empty for the server's own   3 the rules as JSON
--       admit: 4 query or send, 5 this call's token
--       record: 4 the epoch and 5 the token it was admitted under, 6 ok, failed, halted or none
local state_key, calls_key, failures_key = KEYS[1], KEYS[2], KEYS[3]
local action, rules = ARGV[1], cjson.decode(ARGV[3])
local now = tonumber(ARGV[2])
local forgets = not now
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end

local held = {}
local flat = redis.call('HGETALL', state_key)
for i = 1, #flat, 2 do held[flat[i]] = flat[i + 1] end
local before = held.state or 'closed'

-- Lua would write a number this large with an exponent, and lose its last digits.
local function whole(number) return string.format('%.0f', number) end
local function number(name) return tonumber(held[name] or '0') end

local function forget_after(key, milliseconds)
  if forgets then redis.call('PEXPIRE', key, milliseconds) end
end

local function put(...)
  redis.call('HSET', state_key, ...)
  forget_after(state_key, rules.forget_ms)
  local fields = {...}
  for i = 1, #fields, 2 do held[fields[i]] = fields[i + 1] end
end

-- Every state has an epoch of its own: what was admitted under an earlier one does not count any more.
local function enter(state, reason, ends_at)
  local epoch = whole(math.max(now, number('epoch') + 1))
  redis.call('DEL', state_key, calls_key, failures_key)
  held = {}
  put('state', state, 'epoch', epoch, 'since', whole(now), 'reason', reason, 'ends_at', whole(ends_at))
end

local function open(reason) enter('open', reason, now + rules.open_us) end

local function forget_old_calls()
  local oldest = whole(now - rules.window_us)
  redis.call('ZREMRANGEBYSCORE', calls_key, '-inf', oldest)
  redis.call('ZREMRANGEBYSCORE', failures_key, '-inf', oldest)
  return redis.call('ZCARD', calls_key), redis.call('ZCARD', failures_key)
end

local function admit(kind, token)
  if held.state == 'open' and now >= number('ends_at') then enter('half-open', held.reason or '', 0) end
  local state = held.state or 'closed'
  if state == 'closed' then return 1, 0 end
  if state == 'open' then return 0, number('ends_at') - now end
  if kind ~= 'query' or (held.probe and now < number('probe_until')) then return 0, rules.probe_pause_us end
  put('probe', token, 'probe_until', whole(now + rules.probe_us))
  return 1, 0
end

local function record_while_closed(outcome)
  if outcome == 'none' then return end
  if outcome == 'halted' then return open(rules.halted) end
  local id = redis.call('HINCRBY', state_key, 'recorded', 1)
  redis.call('ZADD', calls_key, whole(now), id)
  if outcome == 'failed' then redis.call('ZADD', failures_key, whole(now), id) end
  put('in_a_row', outcome == 'failed' and number('in_a_row') + 1 or 0)
  local calls, failures = forget_old_calls()
  forget_after(calls_key, rules.window_us / 1000)
  forget_after(failures_key, rules.window_us / 1000)
  if number('in_a_row') >= rules.failures_in_a_row then
    open(number('in_a_row') .. ' failures in a row')
  elseif calls >= rules.least_calls and failures * 100 >= rules.failure_percent * calls then
    open(failures .. ' of ' .. calls .. ' calls failed')
  end
end

local function record_probe(token, outcome)
  if held.probe ~= token then return end
  redis.call('HDEL', state_key, 'probe', 'probe_until')
  if outcome == 'halted' then
    open(rules.halted)
  elseif outcome == 'failed' then
    open('a probe failed')
  elseif outcome == 'ok' then
    put('probes_passed', number('probes_passed') + 1)
    if number('probes_passed') >= rules.probes_to_close then enter('closed', '', 0) end
  end
end

if action == 'admit' then
  local admitted, wait_us = admit(ARGV[4], ARGV[5])
  return {before, held.state or 'closed', held.epoch or '0', held.reason or '', admitted, wait_us}
elseif action == 'record' then
  if ARGV[4] == (held.epoch or '0') then
    if before == 'closed' then record_while_closed(ARGV[6]) end
    if before == 'half-open' then record_probe(ARGV[5], ARGV[6]) end
  end
  return {before, held.state or 'closed', held.epoch or '0', held.reason or '', 1, 0}
end

local calls, failures = forget_old_calls()
if before == 'open' and now >= number('ends_at') then before = 'half-open' end
local probing = held.probe and now < number('probe_until')
return {
  before, held.reason or '', held.since and whole(now - number('since')) or '', before == 'open' and number('ends_at') - now or 0, calls, failures,
  number('in_a_row'), number('probes_passed'), probing and held.probe or '',
}
