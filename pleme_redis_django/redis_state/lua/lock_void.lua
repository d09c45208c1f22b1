-- Refuses a request that may still be in transit, because its caller was cancelled. Redis >= 2.4.
-- KEYS 1 notes (SET)
-- ARGV 1 token
-- Returns 1.
redis.call('SADD', KEYS[1], ARGV[1])
redis.call('PEXPIRE', KEYS[1], 60000) -- longer than a request of a broken connection is in transit
return 1
