-- Read a head's position, and the messages in its log after a given position.
-- KEYS 1 position HASH   2 log STREAM
-- ARGV 1 known epoch, '' for the newest messages   2 known offset; for the newest: 0, or read what is before it
--      3 most messages to return   4 position TTL ms   5 run id of the server, or ''
--      6 Lua pattern of the headers to return, '' for all   7 bytes of the log after which to stop
-- Returns {epoch, top offset, status, reached offset, bytes read, message, ...}, oldest first; status is 'complete',
-- 'limit' (there are more than were asked for), 'part' (read on from the reached offset), 'trimmed' (the log
-- does not reach back that far) or 'epoch' (the position belongs to a lost log)
--
-- A server that restarted from an old snapshot, or a promoted replica, may assign a number twice.
-- Its run id differs, so a new epoch begins.

local function run_id()
  local info = redis.pcall('INFO', 'server')
  return type(info) == 'string' and string.match(info, 'run_id:(%x+)') or ''
end

local function begin_epoch(server)
  local time = redis.call('TIME')
  local epoch = string.format('%x%05x', time[1], time[2])
  redis.call('DEL', KEYS[2])
  redis.call('HSET', KEYS[1], 'epoch', epoch, 'offset', 0, 'server', server ~= '' and server or run_id())
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

-- Entries are fetched a few dozen at a time, because a script keeps what it fetched and blocks the server.
local MOST_FETCHED = 32
local reply = {epoch, top, 'complete', top, 0}
local since, limit, budget = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[7])
local found = {}

local function is_wanted(message)
  return ARGV[6] == '' or string.find(message, ARGV[6]) ~= nil
end

local function number_of(entry)
  return tonumber(string.match(entry[1], '^(%d+)'))
end

local function newest()
  local before, count = since > 0 and string.format('(%.0f-0', since) or '+', 4
  while #found < limit do
    local entries = redis.call('XREVRANGE', KEYS[2], before, '-', 'COUNT', count)
    for _, entry in ipairs(entries) do
      local message = entry[2][2]
      if is_wanted(message) then
        table.insert(found, 1, message)
      end
      reply[4] = number_of(entry)
      budget = budget - #message
      if #found == limit then
        return
      elseif budget <= 0 then
        reply[3] = 'part'
        return
      end
    end
    if #entries < count then
      return
    end
    before = '(' .. entries[#entries][1]
    count = math.min(count * 2, MOST_FETCHED)
  end
end

local function after()
  local count, reached = 4, since
  while reached < top do
    local first = string.format('%.0f-0', reached + 1)
    local entries = redis.call('XRANGE', KEYS[2], first, '+', 'COUNT', count)
    if not entries[1] or entries[1][1] ~= first then
      reply[3] = 'trimmed'
      return
    end
    for _, entry in ipairs(entries) do
      local message = entry[2][2]
      local wanted = is_wanted(message)
      if wanted and #found == limit then
        reply[3], reply[4] = 'limit', reached
        return
      elseif wanted then
        found[#found + 1] = message
      end
      reached = number_of(entry)
      budget = budget - #message
      if budget <= 0 and reached < top then
        reply[3], reply[4] = 'part', reached
        return
      end
    end
    count = math.min(count * 2, MOST_FETCHED)
  end
end

if ARGV[1] == '' then
  newest()
elseif ARGV[1] ~= epoch or since > top then
  reply[3] = 'epoch'
else
  after()
end
reply[5] = tonumber(ARGV[7]) - budget
if reply[3] ~= 'trimmed' then
  for i = 1, #found do
    reply[5 + i] = found[i]
  end
end
return reply
