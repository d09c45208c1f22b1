-- The header of an entry that is stored now: the generation in KEYS[first], and those of the tags after it.
-- A missing generation is created from 8 random bytes; with `renews` the others are extended.
-- The digests of the tags are in ARGV, from `digests` on.
local function header_of(first, digests, random, ttl, renews)
  local function generation_of(key)
    local generation = redis.call('GET', key)
    if not generation or #generation ~= 8 then
      redis.call('SET', key, random, 'PX', ttl)
      return random
    end
    if renews then
      redis.call('PEXPIRE', key, ttl)
    end
    return generation
  end

  local header = '\1' .. generation_of(KEYS[first]) .. string.char(#KEYS - first)
  for i = first + 1, #KEYS do
    header = header .. ARGV[digests + i - first - 1] .. generation_of(KEYS[i])
  end
  return header
end
