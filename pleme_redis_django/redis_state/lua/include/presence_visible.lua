-- What others see of a user with these connections (a text of ids): whether all are idle, and the distinct
-- metadata, both as text for comparison and as the JSON list for clients. KEYS[2] are the scope's records.
local function visible(connections)
  local idle, distinct, first = true, {}, {}
  for id in string.gmatch(connections, '%S+') do
    local record = redis.call('HGET', KEYS[2], id)
    if record then
      local metadata = string.match(record, '\n(.*)$')
      idle = idle and string.sub(record, 1, 1) == 'i'
      if not first[metadata] then
        first[metadata] = id
        distinct[#distinct + 1] = metadata
      end
    end
  end
  table.sort(distinct)
  local entries = {}
  for i, metadata in ipairs(distinct) do
    entries[i] = '{"c":"' .. first[metadata] .. '","m":' .. metadata .. (idle and ',"idle":true}' or '}')
  end
  return {idle = idle, metadata = table.concat(distinct, '\n'), shown = '[' .. table.concat(entries, ',') .. ']'}
end
