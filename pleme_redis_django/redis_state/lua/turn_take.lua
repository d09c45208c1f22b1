-- Take a turn that nobody has, or extend the caller's own.
-- KEYS 1 turn STRING: who has it
-- ARGV 1 caller   2 TTL ms
-- Returns 1 when the caller has the turn now, else 0

local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
