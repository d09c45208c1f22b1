-- Adds to a whole number in an entry without tags; its TTL stays. Takes the lease from a caller that
-- builds the entry, because that would undo the addition. Redis >= 6 (KEEPTTL).
-- KEYS 1 entry (STRING)  2 lease (STRING)  3 generation (STRING)
-- ARGV 1 whole number to add
-- Returns the sum as text, 0 when there is no such entry, 1 when it holds no number without tags,
-- 2 when the sum is 2^53 or more, where a double is no longer exact.
local entry, generation = redis.call('GET', KEYS[1]), redis.call('GET', KEYS[3])
if not entry or not generation or string.sub(entry, 1, 9) ~= '\1' .. generation then
  return 0
end
local number = string.match(entry, '^%-?%d+$', 20)
if string.byte(entry, 10) ~= 0 or not number then
  return 1
end
local sum = tonumber(number) + tonumber(ARGV[1])
if math.abs(sum) >= 9007199254740992 then
  return 2
end
local text = string.format('%.0f', sum)
redis.call('SET', KEYS[1], string.sub(entry, 1, 19) .. text, 'KEEPTTL')
redis.call('DEL', KEYS[2])
return text
