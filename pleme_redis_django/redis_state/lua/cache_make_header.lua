-- Returns the header of an entry stored now; creates missing generations. Redis >= 2.6.12.
-- KEYS 1 generation (STRING)  2... tag generations (STRING)
-- ARGV 1 8 random bytes  2 TTL of generations in ms  3... digests of the tags (16 bytes)
-- Returns the header.
-- include: cache_header
return header_of(1, 3, ARGV[1], ARGV[2], true)
