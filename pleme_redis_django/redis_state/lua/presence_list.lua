-- List the users who are online now, or count them.
-- KEYS 1 expiries ZSET: user -> latest expiry (ms)
-- ARGV 1 'count', or 'list'   2 how many to skip (list)   3 most to return, -1 for all (list)
-- Returns the number, or the users

local time = redis.call('TIME')
local after = '(' .. string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
if ARGV[1] == 'count' then
  return redis.call('ZCOUNT', KEYS[1], after, '+inf')
end
return redis.call('ZRANGEBYSCORE', KEYS[1], after, '+inf', 'LIMIT', ARGV[2], ARGV[3])
