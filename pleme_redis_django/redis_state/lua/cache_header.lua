-- Returns the header of entries that are stored now, with generations created where missing. Redis >= 2.6.12.
-- KEYS 1 generation (STRING)  2... tag generations (STRING)
-- ARGV 1 8 random bytes  2 TTL of generations in ms  3... digests of the tags (16 bytes)
-- Returns the header.
local function generation_of(key)
  local generation = redis.call('GET', key)
  if generation and #generation == 8 then
    redis.call('PEXPIRE', key, ARGV[2])
    return generation
  end
  redis.call('SET', key, ARGV[1], 'PX', ARGV[2])
  return ARGV[1]
end

local header = '\1' .. generation_of(KEYS[1]) .. string.char(#KEYS - 1)
for i = 2, #KEYS do
  header = header .. ARGV[i + 1] .. generation_of(KEYS[i])
end
return header
