-- What the cache holds for one question, and under which run of the server: one round trip, one moment.
--
-- KEYS  1 the entry, 2 the lock of who builds it, 3… the tokens of its tags
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
return {run, unpack(redis.call('MGET', unpack(KEYS)))}
