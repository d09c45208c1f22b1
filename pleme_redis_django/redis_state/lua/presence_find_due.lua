-- List the presence scopes of a product in which a connection may have expired.
-- KEYS 1 due ZSET: scope -> earliest expiry (ms)
-- ARGV 1 the most to return
-- Returns scopes, the one that is due first first; '' is the whole product

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])
