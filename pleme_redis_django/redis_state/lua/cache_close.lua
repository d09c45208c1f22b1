-- Ends a build: stores its entry if the caller still has the lease and no generation has changed, releases the
-- lease and wakes all waiting callers, unless they wait for another builder by now. A missing lease has expired,
-- or was taken away by a delete or a write of the entry, which is newer than what was built. Redis >= 4.
-- KEYS 1 entry (STRING)  2 lease (STRING)  3 waiters (STRING)  4 wake (LIST)  5 generation  6... tag generations
-- ARGV 1 token  2 entry, or '' when the build failed  3 its TTL in ms  4 TTL of generations in ms
-- Returns 1 when the entry was stored, else 0.
local lease, stored = redis.call('GET', KEYS[2]), 0
local own = lease == ARGV[1]
if own and ARGV[2] ~= '' then
  local current = redis.call('GET', KEYS[5]) == string.sub(ARGV[2], 2, 9)
  for i = 6, #KEYS do
    local at = 11 + (i - 6) * 24 + 16
    current = current and redis.call('GET', KEYS[i]) == string.sub(ARGV[2], at, at + 7)
  end
  if current then
    redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
    for i = 5, #KEYS do
      redis.call('PEXPIRE', KEYS[i], ARGV[4])
    end
    stored = 1
  end
end
if lease and not own then
  return 0
end
redis.call('DEL', KEYS[2])
local waiters = math.min(tonumber(redis.call('GET', KEYS[3]) or '0'), 10000)
redis.call('DEL', KEYS[3], KEYS[4])
for _ = 1, waiters do
  redis.call('RPUSH', KEYS[4], '1')
end
if waiters > 0 then
  redis.call('PEXPIRE', KEYS[4], 1000)
end
return stored
