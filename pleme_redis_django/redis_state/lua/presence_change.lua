-- Apply one change to a presence scope (a product, or a room of it) and publish the visible changes on its bus.
-- KEYS 1 connections ZSET: connection -> expiry (ms)
--      2 records HASH: connection -> 'a' or 'i' (active, idle) .. user .. '\n' .. metadata (JSON)
--      3 users HASH: user -> connections, each followed by a blank
--      4 expiries ZSET: user -> latest expiry (ms) of its connections
--      5 version STRING: numbers the events of this scope, and begins at the clock (microseconds)
--      6 last-seen ZSET: user -> ms, of the product
--      7 due ZSET: scope -> earliest expiry (ms), of the product
-- ARGV 1 'join', 'leave', 'idle', 'active' or 'sweep'   2 scope   3 bus   4 TTL ms   5 key TTL ms
--      6 how long last-seen is kept (ms)
--      7 connection ('' in leave, idle and active: each of the user's; in sweep: the most to remove)   8 user
--      9 metadata (join)   10 most connections of a user (join)   11 most users of a scope (join)
--      12 'a' or 'i': joins as active, or as idle (join)
--      9 grace ms (leave)
-- Returns {status, version, removed, kind, user, kind, user, ...}; removed is how many connections a sweep
-- took out; status is 'ok', 'user limit', 'scope limit' or
-- 'taken' (the connection belongs to another user); kind is 'online', 'offline', 'update', 'idle' or 'active'
--
-- Others see of a user whether they are online, whether they are idle (no connection is active), and the distinct
-- metadata of the connections. A second tab with the same metadata changes nothing, and nothing is sent.
--
-- A version that was lost (a flush, an eviction, a room that was empty for a minute) begins above every
-- number that was given out, so clients see that it is not the next one, and take a new snapshot.

local op, scope = ARGV[1], ARGV[2]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local joined, updated, left, changes, removed = {}, {}, {}, {}, 0
-- A client can make up any number of room names: keys of an empty room may not stay for a day.
local EMPTY_TTL = 60000

-- What was read or written once is not read again: most of a change's time goes into calls of Redis.
local known_connections, known_records = {}, {}

local function connections_of(user)
  if not known_connections[user] then
    known_connections[user] = redis.call('HGET', KEYS[3], user) or ''
  end
  return known_connections[user]
end

local function keep_connections(user, connections)
  known_connections[user] = connections
  if connections == '' then
    redis.call('HDEL', KEYS[3], user)
  else
    redis.call('HSET', KEYS[3], user, connections)
  end
end

local function record_of(id)
  if known_records[id] == nil then
    known_records[id] = redis.call('HGET', KEYS[2], id)
  end
  return known_records[id]
end

local function keep_record(id, record)
  known_records[id] = record
  redis.call('HSET', KEYS[2], id, record)
end

-- include: presence_visible
local function look(user)
  local connections = connections_of(user)
  if connections == '' then
    return nil
  end
  local idle, metadata, shown = visible(connections, record_of)
  return {idle = idle, metadata = metadata, shown = shown}
end

local function change(kind, user)
  changes[#changes + 1] = kind
  changes[#changes + 1] = user
end

local function compare(user, before, gone)
  local after = look(user)
  local name = cjson.encode(user) .. ':'
  if not before and after then
    joined[#joined + 1] = name .. after.shown
    change('online', user)
  elseif before and not after then
    left[#left + 1] = name .. '["' .. table.concat(gone, '","') .. '"]'
    change('offline', user)
  elseif before and (before.idle ~= after.idle or before.metadata ~= after.metadata) then
    updated[#updated + 1] = name .. after.shown
    change(before.idle == after.idle and 'update' or (after.idle and 'idle' or 'active'), user)
  end
end

local function refresh_expiry(user)
  local latest = nil
  for id in string.gmatch(connections_of(user), '%S+') do
    local expiry = tonumber(redis.call('ZSCORE', KEYS[1], id))
    if expiry and (not latest or expiry > latest) then
      latest = expiry
    end
  end
  if latest then
    redis.call('ZADD', KEYS[4], latest, user)
  else
    redis.call('ZREM', KEYS[4], user)
  end
end

local function saw(user, at)
  if scope == '' then
    redis.call('ZADD', KEYS[6], 'GT', at, user)
  end
end

local function remove(user, gone)
  local rest, is_gone = {}, {}
  for _, id in ipairs(gone) do
    removed = removed + redis.call('ZREM', KEYS[1], id)
    redis.call('HDEL', KEYS[2], id)
    known_records[id], is_gone[id] = false, true
  end
  for id in string.gmatch(connections_of(user), '%S+') do
    if not is_gone[id] then
      rest[#rest + 1] = id .. ' '
    end
  end
  keep_connections(user, table.concat(rest))
end

local function due_at(at)
  redis.call('ZADD', KEYS[7], 'LT', at, scope)
end

-- Connections in the grace of a page reload, and those whose process has missed a heartbeat, do not count against
-- the limit, so that the tab can come back; there may be as many of them as the limit once more.
local function is_full(connections, most)
  local count, heard = select(2, string.gsub(connections, '%S+', '')), 0
  if count < most then
    return false
  end
  for one in string.gmatch(connections, '%S+') do
    if (tonumber(redis.call('ZSCORE', KEYS[1], one)) or 0) > now + tonumber(ARGV[4]) / 2 then
      heard = heard + 1
    end
  end
  return heard >= most or count >= 2 * most
end

local function join(id, user, metadata)
  local record = record_of(id)
  if record and string.match(record, '^.(.-)\n') ~= user then
    return 'taken'
  end
  local before, connections = look(user), connections_of(user)
  if not record then
    if is_full(connections, tonumber(ARGV[10])) then
      return 'user limit'
    end
    if not before and redis.call('HLEN', KEYS[3]) >= tonumber(ARGV[11]) then
      return 'scope limit'
    end
    keep_connections(user, connections .. id .. ' ')
  end
  local expiry = now + tonumber(ARGV[4])
  keep_record(id, ARGV[12] .. user .. '\n' .. metadata)
  redis.call('ZADD', KEYS[1], expiry, id)
  if not record and connections == '' then
    redis.call('ZADD', KEYS[4], expiry, user)
  else
    refresh_expiry(user)
  end
  saw(user, now)
  due_at(expiry)
  compare(user, before, {})
  return 'ok'
end

-- Another user's connection is never touched, whatever id was given.
local function chosen(id, user)
  local ids = {}
  for mine in string.gmatch(connections_of(user), '%S+') do
    if id == '' or id == mine then
      ids[#ids + 1] = mine
    end
  end
  return ids
end

local function leave(id, user, grace)
  local before, gone = look(user), chosen(id, user)
  if grace == 0 then
    remove(user, gone)
  else
    for _, one in ipairs(gone) do
      if (tonumber(redis.call('ZSCORE', KEYS[1], one)) or 0) > now + grace then
        redis.call('ZADD', KEYS[1], now + grace, one)
        due_at(now + grace)
      end
    end
  end
  if #gone > 0 then
    refresh_expiry(user)
    saw(user, now)
    compare(user, before, gone)
  end
end

local function mark(id, user, letter)
  local before = look(user)
  for _, one in ipairs(chosen(id, user)) do
    local record = record_of(one)
    if record then
      keep_record(one, letter .. string.sub(record, 2))
    end
  end
  saw(user, now)
  compare(user, before, {})
end

local function sweep(most)
  local expired = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, most)
  local order, before, gone = {}, {}, {}
  for _, id in ipairs(expired) do
    local user = string.match(record_of(id) or '', '^.(.-)\n')
    if not user then
      removed = removed + redis.call('ZREM', KEYS[1], id)
    else
      if not gone[user] then
        order[#order + 1] = user
        before[user], gone[user] = look(user), {}
      end
      table.insert(gone[user], id)
      -- A process that died was last heard of one TTL before its connections expired.
      saw(user, tonumber(redis.call('ZSCORE', KEYS[1], id)) - tonumber(ARGV[4]))
    end
  end
  for _, user in ipairs(order) do
    remove(user, gone[user])
    refresh_expiry(user)
    compare(user, before[user], gone[user])
  end
  local earliest = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
  if earliest[2] then
    redis.call('ZADD', KEYS[7], earliest[2], scope)
  end
end

local status = 'ok'
if op == 'join' then
  status = join(ARGV[7], ARGV[8], ARGV[9])
elseif op == 'leave' then
  leave(ARGV[7], ARGV[8], tonumber(ARGV[9]))
elseif op == 'sweep' then
  sweep(tonumber(ARGV[7]))
else
  mark(ARGV[7], ARGV[8], op == 'idle' and 'i' or 'a')
end

local version = redis.call('GET', KEYS[5])
if #joined + #updated + #left > 0 then
  if version then
    version = redis.call('INCR', KEYS[5])
  else
    version = time[1] * 1000000 + time[2]
    redis.call('SET', KEYS[5], string.format('%.0f', version), 'PX', ARGV[5])
  end
  local channel = scope == '' and '@online' or scope
  local frame = table.concat({
    '{"pres":{"ch":"', channel, '","v":', string.format('%.0f', version),
    ',"join":{', table.concat(joined, ','), '},"update":{', table.concat(updated, ','),
    '},"leave":{', table.concat(left, ','), '}}}',
  })
  redis.call('PUBLISH', ARGV[3], 'pres ' .. channel .. ' -\n' .. frame)
end
-- A join extends the keys, and so do heartbeats; other changes leave them theirs, as no connection outlives them.
if op == 'join' and status == 'ok' then
  for i = 1, 5 do
    redis.call('PEXPIRE', KEYS[i], ARGV[5])
  end
elseif (op == 'leave' or op == 'sweep') and redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('PEXPIRE', KEYS[5], EMPTY_TTL)
  redis.call('ZREM', KEYS[7], scope)
end
redis.call('PEXPIRE', KEYS[7], ARGV[5])
if scope == '' then
  redis.call('ZREMRANGEBYSCORE', KEYS[6], '-inf', now - tonumber(ARGV[6]))
  redis.call('PEXPIRE', KEYS[6], ARGV[6])
end
return {status, tonumber(version or 0), removed, unpack(changes)}
