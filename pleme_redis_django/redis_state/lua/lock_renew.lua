-- Extends a lock that the token still holds. Redis >= 2.6.
-- KEYS 1 lock (STRING that begins with the token)
-- ARGV 1 token (32 characters)  2 TTL in ms
-- Returns 1, or 0 when the lock is no longer the token's.
if string.sub(redis.call('GET', KEYS[1]) or '', 1, 32) == ARGV[1] then
  return redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return 0
