-- Stores an entry under the current generations, which it creates if they are missing, and takes the lease
-- from a caller that builds it, because that value is older. Redis >= 2.6.12.
-- KEYS 1 entry (STRING)  2 lease (STRING)  3 generation (STRING)  4... tag generations (STRING)
-- ARGV 1 what follows the header  2 TTL of the entry in ms  3 8 random bytes  4 TTL of generations in ms
--      5... digests of the tags (16 bytes), in the order of their keys
-- Returns 1.
-- include: cache_header
local header = header_of(3, 5, ARGV[3], ARGV[4], true)
redis.call('SET', KEYS[1], header .. ARGV[1], 'PX', ARGV[2])
redis.call('DEL', KEYS[2])
return 1
