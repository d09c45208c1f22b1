-- Frees a lock that the token still holds, and wakes one waiter if there are any. Redis >= 2.6.
-- KEYS 1 lock (STRING that begins with the token)  2 wake (LIST, one element at most)  3 notes (SET)
-- ARGV 1 token (32 characters)
-- Returns 1, or 0 when the lock is no longer the token's.
if string.sub(redis.call('GET', KEYS[1]) or '', 1, 32) ~= ARGV[1] then
  return 0
end
redis.call('DEL', KEYS[1])
if redis.call('SISMEMBER', KEYS[3], 'waiting') == 1 then
  redis.call('DEL', KEYS[2])
  redis.call('RPUSH', KEYS[2], '1')
  redis.call('PEXPIRE', KEYS[2], 1000) -- enough for a waiter between its reply and its BLPOP
end
return 1
