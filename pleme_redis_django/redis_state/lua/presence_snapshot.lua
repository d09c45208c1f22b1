-- Read one page of a presence scope as JSON: its users and their metadata.
-- KEYS 1 connections ZSET   2 records HASH   3 users HASH   4 expiries ZSET   5 version STRING
-- ARGV 1 cursor, '0' for the first page   2 about how many users
-- Returns {version, JSON object: user -> [{"c": connection, "m": metadata, "idle": true?}], next cursor or '0'}
--
-- HSCAN returns each user who is online during the whole scan at least once; reading by rank would miss
-- users whom a heartbeat moves.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local scanned = redis.call('HSCAN', KEYS[3], ARGV[1], 'COUNT', ARGV[2])
local users = {}

local function record_of(id)
  return redis.call('HGET', KEYS[2], id)
end

-- include: presence_visible
for i = 1, #scanned[2], 2 do
  local user = scanned[2][i]
  local expiry = redis.call('ZSCORE', KEYS[4], user)
  if expiry and tonumber(expiry) > now then
    local _, _, shown = visible(scanned[2][i + 1], record_of)
    users[#users + 1] = cjson.encode(user) .. ':' .. shown
  end
end
return {tonumber(redis.call('GET', KEYS[5]) or 0), '{' .. table.concat(users, ',') .. '}', scanned[1]}
