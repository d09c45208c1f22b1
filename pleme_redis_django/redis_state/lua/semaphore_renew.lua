-- Extends a permit that has not expired. Redis >= 3.2.
-- KEYS 1 permits (ZSET: permit -> expiry in ms)
-- ARGV 1 permit  2 TTL in ms
-- Returns 1, or 0 when the permit is gone.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local expiry = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or '0')
if expiry <= now then
  return 0
end
local ttl = tonumber(ARGV[2])
redis.call('ZADD', KEYS[1], now + ttl, ARGV[1])
if redis.call('PTTL', KEYS[1]) < ttl then
  redis.call('PEXPIRE', KEYS[1], ttl)
end
return 1
