-- Returns the holder of a lock. Redis >= 2.6.
-- KEYS 1 lock (STRING: token, fence, since ms, owner)
-- Returns {fence, since ms, owner, remaining ms}, or {} when it is free.
local held = redis.call('GET', KEYS[1])
if not held then
  return {}
end
local fence, since, owner = string.match(held, '^(%d+) (%d+) (.*)', 33)
return {fence, since, owner, redis.call('PTTL', KEYS[1])}
