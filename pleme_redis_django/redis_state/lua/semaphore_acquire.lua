-- Takes one of a semaphore's permits, or returns the time until the next one expires. Idempotent by
-- permit; a permit that expired (by the server's clock) is free. Redis >= 3.2.
-- KEYS 1 permits (ZSET: permit -> expiry in ms)  2 notes (SET)
-- ARGV 1 permit  2 limit  3 TTL in ms  4 '1' when the caller will wait, else '0'
-- Returns {1, permits in use} when held, {0, remaining ms, permit that expires next} when busy.
if redis.call('SISMEMBER', KEYS[2], ARGV[1]) == 1 then -- its caller was cancelled
  return {0, 0, ''}
end
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local ttl = tonumber(ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local used = redis.call('ZCARD', KEYS[1])
if used < tonumber(ARGV[2]) or redis.call('ZSCORE', KEYS[1], ARGV[1]) then
  used = used + redis.call('ZADD', KEYS[1], now + ttl, ARGV[1])
  if redis.call('PTTL', KEYS[1]) < ttl then
    redis.call('PEXPIRE', KEYS[1], ttl)
  end
  return {1, used}
end
if ARGV[4] == '1' then
  redis.call('SADD', KEYS[2], 'waiting')
  redis.call('PEXPIRE', KEYS[2], 60000)
end
local next_free = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
return {0, next_free[2] - now, next_free[1]}
