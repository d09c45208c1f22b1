-- Read a head's position, and what its log holds after a given one.
-- KEYS 1 position HASH   2 log STREAM
-- ARGV 1 known epoch, '' for the newest messages   2 known offset   3 most messages to return
--      4 position TTL ms   5 run id of the server, or ''
-- Returns {epoch, top offset, status, message, ...}; status is 'complete', 'limit' (there are more than
-- were asked for), 'trimmed' (the log does not reach back so far) or 'epoch' (the position is of a lost log)
--
-- A server that restarted from an old snapshot, or a promoted replica, may give a number out twice.
-- Its run id differs, and with it begins a new epoch.

local function begin_epoch(server)
  local time = redis.call('TIME')
  local epoch = string.format('%x%05x', time[1], time[2])
  redis.call('DEL', KEYS[2])
  redis.call('HSET', KEYS[1], 'epoch', epoch, 'offset', 0, 'server', server)
  return epoch, 0
end

local stored = redis.call('HMGET', KEYS[1], 'epoch', 'offset', 'server')
local epoch, top, server = stored[1], tonumber(stored[2]), stored[3]
if not epoch or (ARGV[5] ~= '' and server and server ~= '' and server ~= ARGV[5]) then
  epoch, top = begin_epoch(ARGV[5])
elseif ARGV[5] ~= '' and server ~= ARGV[5] then
  redis.call('HSET', KEYS[1], 'server', ARGV[5])
end
redis.call('PEXPIRE', KEYS[1], ARGV[4])

local reply = {epoch, top, 'complete'}
local limit = tonumber(ARGV[3])
local function append(entries, first, last, step)
  for i = first, last, step do
    reply[#reply + 1] = entries[i][2][2]
  end
end

if ARGV[1] == '' then
  if limit > 0 then
    local newest = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', limit)
    append(newest, #newest, 1, -1)
  end
  return reply
end

local since = tonumber(ARGV[2])
if ARGV[1] ~= epoch or since > top then
  reply[3] = 'epoch'
elseif since < top then
  local after = string.format('%.0f-0', since + 1)
  local entries = redis.call('XRANGE', KEYS[2], after, '+', 'COUNT', limit + 1)
  if not entries[1] or entries[1][1] ~= after then
    reply[3] = 'trimmed'
  else
    if #entries > limit then
      reply[3] = 'limit'
    end
    append(entries, 1, math.min(#entries, limit), 1)
  end
end
return reply
