-- Push hints that jobs of one queue are ready. Now and then the caller has it remember the queue too. It then
-- forgets queues without a recent push, with their counters, because a worker that serves every queue blocks on
-- each known list. Redis >= 6.2.
-- KEYS 1 the queue's list, 2 the names (ZSET: queue name -> last push in s), 3 the wake-all list, 4 the counters
-- ARGV 1 queue name, 2 longest list, 3 seconds that a queue is remembered, 4 whether to remember it ("1"), 5.. hints
-- Returns 1 when the queue's name was new, so that the wake-all list got a hint too; else 0
local most_named, most_types = 100, 10 -- as many hints are read for the wake-up of a new queue, and as many types named

-- The wake-up says of which types the jobs are, where these are few.
local function wake_up()
  local types, seen = {}, {}
  for index = 5, #ARGV do
    local is_json, hint = pcall(cjson.decode, ARGV[index])
    local name = is_json and type(hint) == 'table' and hint.job_type
    if type(name) ~= 'string' or name == '' or index > 4 + most_named then
      return '{}'
    end
    if not seen[name] then
      seen[name] = true
      types[#types + 1] = name
    end
  end
  return #types <= most_types and cjson.encode({job_types = types}) or '{}'
end

local chunk = 1000 -- unpack() takes no more than some thousands at once
for first = 5, #ARGV, chunk do
  redis.call('LPUSH', KEYS[1], unpack(ARGV, first, math.min(first + chunk - 1, #ARGV)))
end
redis.call('LTRIM', KEYS[1], 0, ARGV[2] - 1)
redis.call('EXPIRE', KEYS[1], ARGV[3])
redis.call('HINCRBY', KEYS[4], 'pushed:' .. ARGV[1], #ARGV - 4)
if ARGV[4] ~= '1' and redis.call('EXISTS', KEYS[2]) == 1 then -- after a flush the server learns all names again
  return 0
end
local now = redis.call('TIME')[1]
for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now - ARGV[3])) do
  redis.call('ZREM', KEYS[2], name)
  redis.call('HDEL', KEYS[4], 'pushed:' .. name, 'popped:' .. name)
end
local new = redis.call('ZADD', KEYS[2], now, ARGV[1])
if redis.call('TTL', KEYS[2]) < tonumber(ARGV[3]) then
  redis.call('EXPIRE', KEYS[2], 2 * ARGV[3])
  redis.call('EXPIRE', KEYS[4], 2 * ARGV[3])
end
if new == 1 then
  redis.call('LPUSH', KEYS[3], wake_up())
  redis.call('LTRIM', KEYS[3], 0, 99)
end
return new
