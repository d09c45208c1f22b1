-- Takes a unique slot for a job, or returns the job that took it before. Redis >= 2.6.12.
-- KEYS 1 slot (STRING, a job id)
-- ARGV 1 job id  2 TTL in ms
-- Returns the other job's id, or nil when the slot is this job's.
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then
  return holder
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return false
