-- Tell which users are online now.
-- KEYS 1 expiries ZSET: user -> latest expiry (ms)
-- ARGV users
-- Returns 1 or 0 for each, in the order given

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local flags = redis.call('ZMSCORE', KEYS[1], unpack(ARGV))
for i = 1, #ARGV do
  flags[i] = flags[i] and tonumber(flags[i]) > now and 1 or 0
end
return flags
