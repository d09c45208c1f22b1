local function entry(id, metadata, idle)
  return '{"c":"' .. id .. '","m":' .. metadata .. (idle and ',"idle":true}' or '}')
end

-- What others see of a user with these connections (a text of ids, each followed by a blank): whether all are idle,
-- and the distinct metadata, both as text for comparison and as the JSON list for clients.
local function visible(connections, record_of)
  local only = string.match(connections, '^(%S+) $')
  local record = only and record_of(only)
  if record then
    -- Nearly every user has one connection, and the tables below cost more than everything else.
    local idle, metadata = string.sub(record, 1, 1) == 'i', string.match(record, '\n(.*)$')
    return idle, metadata, '[' .. entry(only, metadata, idle) .. ']'
  end
  local all_idle, distinct, first = true, {}, {}
  for id in string.gmatch(connections, '%S+') do
    record = record_of(id)
    if record then
      local metadata = string.match(record, '\n(.*)$')
      all_idle = all_idle and string.sub(record, 1, 1) == 'i'
      if not first[metadata] then
        first[metadata] = id
        distinct[#distinct + 1] = metadata
      end
    end
  end
  table.sort(distinct)
  local entries = {}
  for i, metadata in ipairs(distinct) do
    entries[i] = entry(first[metadata], metadata, all_idle)
  end
  return all_idle, table.concat(distinct, '\n'), '[' .. table.concat(entries, ',') .. ']'
end
