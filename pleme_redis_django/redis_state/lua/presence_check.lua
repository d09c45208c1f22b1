-- Tell whether one user is online now.
-- KEYS 1 expiries ZSET: user -> latest expiry (ms)
-- ARGV 1 user
-- Returns 1 or 0

local expiry = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not expiry then
  return 0
end
local time = redis.call('TIME')
return tonumber(expiry) > time[1] * 1000 + time[2] / 1000 and 1 or 0
