-- List the users who type in a conversation now.
-- KEYS 1 typing ZSET: user -> expiry (ms)
-- Returns the users, the one whose typing ends first first

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
return redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. string.format('%.0f', now), '+inf')
