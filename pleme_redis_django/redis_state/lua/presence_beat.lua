-- Extend the connections of one process in all its scopes of a product, and return those that are missing.
-- KEYS 1 last-seen ZSET   2 due ZSET
--      then five for each scope: connections ZSET, records HASH, users HASH, expiries ZSET, version STRING
-- ARGV 1 TTL ms   2 key TTL ms   3 how long last-seen is kept (ms)
--      then for each scope: the number of its pairs, and the pairs connection, user
-- Returns {scope number, connection, ...}: those that were swept or lost and have to join again

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local expiry = now + tonumber(ARGV[1])
local vanished = {}
local position = 4

for scope = 1, (#KEYS - 2) / 5 do
  local first = 3 + (scope - 1) * 5
  local count = tonumber(ARGV[position])
  local is_anyone_there = false
  for i = position + 1, position + 2 * count, 2 do
    if redis.call('ZSCORE', KEYS[first], ARGV[i]) then
      redis.call('ZADD', KEYS[first], 'XX', 'GT', expiry, ARGV[i])
      redis.call('ZADD', KEYS[first + 3], 'GT', expiry, ARGV[i + 1])
      is_anyone_there = true
    else
      vanished[#vanished + 1] = scope
      vanished[#vanished + 1] = ARGV[i]
    end
  end
  if is_anyone_there then
    for key = first, first + 4 do
      redis.call('PEXPIRE', KEYS[key], ARGV[2])
    end
  end
  position = position + 2 * count + 1
end

redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - tonumber(ARGV[3]))
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('PEXPIRE', KEYS[2], ARGV[2])
return vanished
