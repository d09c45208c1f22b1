-- Stores an entry under the generations of now, which it creates where they are missing, and takes the lease
-- from whoever builds it: what was being built is older. Redis >= 2.6.12.
-- KEYS 1 entry (STRING)  2 lease (STRING)  3 generation (STRING)  4... tag generations (STRING)
-- ARGV 1 what follows the header  2 TTL of the entry in ms  3 8 random bytes  4 TTL of generations in ms
--      5... digests of the tags (16 bytes), in the order of their keys
-- Returns 1.
local function generation_of(key)
  local generation = redis.call('GET', key)
  if generation and #generation == 8 then
    redis.call('PEXPIRE', key, ARGV[4])
    return generation
  end
  redis.call('SET', key, ARGV[3], 'PX', ARGV[4])
  return ARGV[3]
end

local header = '\1' .. generation_of(KEYS[3]) .. string.char(#KEYS - 3)
for i = 4, #KEYS do
  header = header .. ARGV[i + 1] .. generation_of(KEYS[i])
end
redis.call('SET', KEYS[1], header .. ARGV[1], 'PX', ARGV[2])
redis.call('DEL', KEYS[2])
return 1
