-- Frees a lock for an operator, even if another token holds it, and wakes one waiter. Redis >= 2.6.
-- KEYS 1 lock (STRING: token, fence, since ms, owner)  2 wake (LIST, one element at most)
-- ARGV 1 the fence that the holder must still have, or '' for any
-- Returns {fence, since ms, owner, remaining ms}, or {} when it was free or has another fence.
local held = redis.call('GET', KEYS[1])
if not held then
  return {}
end
local fence, since, owner = string.match(held, '^(%d+) (%d+) (.*)', 33)
if ARGV[1] ~= '' and fence ~= ARGV[1] then
  return {}
end
local remaining = redis.call('PTTL', KEYS[1])
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('RPUSH', KEYS[2], '1')
redis.call('PEXPIRE', KEYS[2], 1000)
return {fence, since, owner, remaining}
