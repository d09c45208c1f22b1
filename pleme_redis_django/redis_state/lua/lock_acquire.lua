-- Takes a lock, or returns its holder. Idempotent by token: a caller whose reply was lost sends the
-- request again and gets the same fence. Redis >= 2.6.12.
-- KEYS 1 lock (STRING: token, fence, since ms, owner)  2 fence (STRING)  3 notes (SET)
-- ARGV 1 token (32 characters)  2 TTL in ms  3 owner (JSON)  4 '1' when the caller will wait, else '0'
-- Returns {1, fence} when held, {0, remaining ms, owner} when busy.
local held = redis.call('GET', KEYS[1])
if held then
  local fence, owner = string.match(held, '^(%d+) %d+ (.*)', 33)
  if string.sub(held, 1, 32) == ARGV[1] then
    redis.call('PEXPIRE', KEYS[1], ARGV[2])
    return {1, fence}
  end
  if ARGV[4] == '1' then
    redis.call('SADD', KEYS[3], 'waiting')
    redis.call('PEXPIRE', KEYS[3], 60000)
  end
  return {0, redis.call('PTTL', KEYS[1]), owner}
end
if redis.call('SISMEMBER', KEYS[3], ARGV[1]) == 1 then -- its caller was cancelled
  return {0, 0, ''}
end
local now = redis.call('TIME')
local ms = now[1] * 1000 + math.floor(now[2] / 1000)
-- Microseconds, because no lock is taken that often: the clock is above every assigned fence, so fences
-- grow even if the counter was lost, and the counter lets them grow even if the clock was set back.
-- A counter is kept for a day after its last use, so idle names do not use memory for long. Exact as a
-- double until the year 2255; tostring() and Redis' own conversion would round 16 digits.
local clock = now[1] * 1000000 + now[2]
local fence = string.format('%.0f', math.max((tonumber(redis.call('GET', KEYS[2])) or 0) + 1, clock))
redis.call('SET', KEYS[2], fence, 'PX', 86400000)
redis.call('SET', KEYS[1], ARGV[1] .. fence .. ' ' .. string.format('%.0f', ms) .. ' ' .. ARGV[3], 'PX', ARGV[2])
return {1, fence}
