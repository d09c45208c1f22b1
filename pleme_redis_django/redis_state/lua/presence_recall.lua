-- Tell when users were last seen: now for those who are online.
-- KEYS 1 expiries ZSET: user -> latest expiry (ms)   2 last-seen ZSET: user -> ms
-- ARGV users
-- Returns the time (ms) of each, or false for a user who was never seen or long ago

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local expiries = redis.call('ZMSCORE', KEYS[1], unpack(ARGV))
local seen = redis.call('ZMSCORE', KEYS[2], unpack(ARGV))
local times = {}
for i = 1, #ARGV do
  local online = expiries[i] and tonumber(expiries[i]) > now
  times[i] = online and now or (seen[i] and tonumber(seen[i]) or false)
end
return times
