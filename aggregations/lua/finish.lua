-- End a turn: store the entry unless a later turn has begun meanwhile, and free the lock if it is still this turn's.
--
-- KEYS  1 the lock, 2 the last fence given, 3 the entry
-- ARGV  1 this turn's fence, 2 the run of the server it began in
--       3 how long the entry is kept, in milliseconds, and 4 the entry; an empty one is not stored
-- Gives 1 when the entry was stored.
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
local stored = 0
if ARGV[4] ~= '' and run == ARGV[2] and redis.call('GET', KEYS[2]) == ARGV[1] then
  redis.call('SET', KEYS[3], ARGV[4], 'PX', ARGV[3])
  stored = 1
end
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return stored
