-- Record that a user types in a conversation or has stopped, and publish a change on its bus.
-- KEYS 1 typing ZSET: user -> expiry (ms)
-- ARGV 1 bus   2 channel   3 user   4 connection, or ''   5 '1' types, '0' stopped   6 TTL ms   7 most users
-- Returns 1 when an event was sent; 0 when nothing changed: throttled to half the TTL, full, or not typing

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ttl = tonumber(ARGV[6])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)

if ARGV[5] == '1' then
  local expiry = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[3]))
  if expiry and expiry - now > ttl / 2 then
    return 0
  end
  if not expiry and redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[7]) then
    return 0
  end
  redis.call('ZADD', KEYS[1], now + ttl, ARGV[3])
  redis.call('PEXPIRE', KEYS[1], ttl * 2)
elseif redis.call('ZREM', KEYS[1], ARGV[3]) == 0 then
  return 0
end

local frame = {'{"typing":{"ch":"', ARGV[2], '","u":', cjson.encode(ARGV[3])}
if ARGV[4] ~= '' then
  frame[#frame + 1] = ',"c":"' .. ARGV[4] .. '"'
end
frame[#frame + 1] = ARGV[5] == '1' and ',"on":true,"ttl":' .. ARGV[6] .. '}}' or ',"on":false}}'
local skipped = ARGV[4] == '' and '-' or ARGV[4]
redis.call('PUBLISH', ARGV[1], 'typing ' .. ARGV[2] .. ' ' .. skipped .. '\n' .. table.concat(frame))
return 1
