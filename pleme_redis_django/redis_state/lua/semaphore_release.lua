-- Gives a permit back and wakes one waiter if there are any. Redis >= 3.2.
-- KEYS 1 permits (ZSET: permit -> expiry in ms)  2 wake (LIST)  3 notes (SET)
-- ARGV 1 permit
-- Returns 1, or 0 when the permit had expired or was gone.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local expiry = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or '0')
if redis.call('ZREM', KEYS[1], ARGV[1]) == 1 and redis.call('SISMEMBER', KEYS[3], 'waiting') == 1 then
  -- Several permits may come back before a waiter looks; 100 wake-ups are enough for a herd.
  redis.call('RPUSH', KEYS[2], '1')
  redis.call('LTRIM', KEYS[2], 0, 99)
  redis.call('PEXPIRE', KEYS[2], 1000)
end
return expiry > now and 1 or 0
