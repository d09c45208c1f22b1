-- Append one message to a head's log and send it on the head's bus, once per idempotency key.
-- KEYS 1 position HASH   2 log STREAM   3 idempotency STRING (only when the message has a key)
-- ARGV 1 bus   2 channel   3 data (JSON)   4 publishing connection, or ''   5 connection that must not get it, or '-'
--      6 log length   7 log TTL ms   8 position TTL ms   9 idempotency TTL ms   10 publishing user, or ''
--      11 nonce of this publish   12 '1' when its reply was lost, and it is sent again
-- Returns {epoch, offset, published at (ms), 1 when published now or 0 when its key was known}

if KEYS[3] then
  local known = redis.call('GET', KEYS[3])
  if known then
    local epoch, offset, at = string.match(known, '^(%S+) (%S+) (%S+)$')
    return {epoch, tonumber(offset), tonumber(at), 0}
  end
end

if ARGV[12] == '1' then
  for _, entry in ipairs(redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 100)) do
    if entry[2][4] == ARGV[11] then
      local epoch, offset, at = string.match(entry[2][2], '^%S+ %S+ %S+ (%S+) (%S+) (%d+)')
      return {epoch, tonumber(offset), tonumber(at), 0}
    end
  end
end

local time = redis.call('TIME')
local at = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
local epoch = redis.call('HGET', KEYS[1], 'epoch')
if not epoch then
  -- Readers compare the run id: it shows if a position comes back from an old snapshot.
  local info = redis.pcall('INFO', 'server')
  local server = type(info) == 'string' and string.match(info, 'run_id:(%x+)') or ''
  epoch = string.format('%x%05x', time[1], time[2])
  redis.call('HSET', KEYS[1], 'epoch', epoch, 'offset', 0, 'server', server)
  redis.call('DEL', KEYS[2])
end
local offset = redis.call('HINCRBY', KEYS[1], 'offset', 1)
local number = string.format('%.0f', offset)

local frame = {'{"pub":{"ch":"', ARGV[2], '","pos":["', epoch, '",', number, '],"at":', at, ',"d":', ARGV[3]}
if ARGV[10] ~= '' then
  frame[#frame + 1] = ',"u":' .. cjson.encode(ARGV[10])
end
if ARGV[4] ~= '' then
  frame[#frame + 1] = ',"by":"' .. ARGV[4] .. '"'
end
frame[#frame + 1] = '}}'
local header = table.concat({'pub', ARGV[2], ARGV[5], epoch, number, at}, ' ')
local message = header .. '\n' .. table.concat(frame)

redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[6], number .. '-0', 'm', message, 'n', ARGV[11])
redis.call('PEXPIRE', KEYS[2], ARGV[7])
redis.call('PEXPIRE', KEYS[1], ARGV[8])
if KEYS[3] then
  redis.call('SET', KEYS[3], epoch .. ' ' .. number .. ' ' .. at, 'PX', ARGV[9])
end
redis.call('PUBLISH', ARGV[1], message)
return {epoch, offset, tonumber(at), 1}
