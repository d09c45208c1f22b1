-- Reads an entry that the caller can build, and gives one caller the lease to build it. Redis >= 2.6.12.
-- An entry is usable if it has the current header. It is due when its fresh time is over, or earlier, with a
-- probability that grows towards the end (XFetch: Vattani, Chierichetti, Lowenstein, 2015).
-- KEYS 1 entry (STRING)  2 lease (STRING)  3 waiters (STRING, a count)  4 generation  5... tag generations
-- ARGV 1 token  2 TTL of the lease in ms  3 8 random bytes  4 TTL of generations in ms
--      5 -log(random) * beta of this reader; 0: never early  6... digests of the tags (16 bytes)
-- Returns {what to do, header, entry or '', ms}: 0 use it; 1 build it, the caller has the lease; 2 another
-- caller builds it for up to ms more: use the entry, or wait if it is ''.
-- include: cache_header
local header = header_of(4, 6, ARGV[3], ARGV[4], false)
local entry = redis.call('GET', KEYS[1])
if entry and string.sub(entry, 1, #header) == header then
  local _, grace, build_ms = struct.unpack('<BI4I4', entry, #header + 1)
  if redis.call('PTTL', KEYS[1]) - grace > build_ms * ARGV[5] then
    return {0, header, entry, 0}
  end
else
  entry = ''
end
-- The caller may have the lease already: the reply was lost, and the client sends the request again.
if redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) or redis.call('GET', KEYS[2]) == ARGV[1] then
  return {1, header, entry, 0}
end
if entry == '' then
  redis.call('INCR', KEYS[3])
  redis.call('PEXPIRE', KEYS[3], ARGV[2])
end
return {2, header, entry, redis.call('PTTL', KEYS[2])}
