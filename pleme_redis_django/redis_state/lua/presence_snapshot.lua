-- Read one page of a presence scope: who is there, with which metadata, as JSON.
-- KEYS 1 connections ZSET   2 records HASH   3 users HASH   4 expiries ZSET   5 version STRING
-- ARGV 1 cursor, '0' for the first page   2 about how many users
-- Returns {version, JSON object: user -> [{"c": connection, "m": metadata, "idle": true?}], next cursor or '0'}
--
-- HSCAN gives each user who is there during the whole walk at least once; a walk by rank would lose
-- those whom a heartbeat moves.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local scanned = redis.call('HSCAN', KEYS[3], ARGV[1], 'COUNT', ARGV[2])
local users = {}

-- include: presence_visible
for i = 1, #scanned[2], 2 do
  local user = scanned[2][i]
  local expiry = redis.call('ZSCORE', KEYS[4], user)
  if expiry and tonumber(expiry) > now then
    users[#users + 1] = cjson.encode(user) .. ':' .. visible(scanned[2][i + 1]).shown
  end
end
return {tonumber(redis.call('GET', KEYS[5]) or 0), '{' .. table.concat(users, ',') .. '}', scanned[1]}
