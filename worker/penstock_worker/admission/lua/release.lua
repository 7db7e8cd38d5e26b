-- Give leases back after settlement, cache results, tell who waits.
-- KEYS[1] epoch.  ARGV: wake channel, result lifetime in s, provider, then for each job:
-- id, token, action, and by action:
--   done    job ID as text, done channel, result body ('': too large to cache)
--   again   ms to wait, new entry tail (10 bytes), flow
--   drop    '', '', ''
-- A lease that somebody else holds by now is left alone. A job whose lease was lost with the index
-- queues again all the same. Returns the number of leases given back.
local released, woken = 0, false
local told = {}
for at = 4, #ARGV, 6 do
  local id, token, action = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local record = redis.call('HGET', base .. 'held', id)
  local ours = record and string.sub(record, 1, 8) == token
  if ours then
    drop_lease(id)
    released = released + 1
  end
  if action == 'done' then
    local text, channel, body = ARGV[at + 3], ARGV[at + 4], ARGV[at + 5]
    if body ~= '' then
      redis.call('SET', base .. 'result:' .. text, body, 'EX', ARGV[2])
    end
    told[channel] = (told[channel] or ARGV[3]) .. ' ' .. text
  elseif action == 'again' and (ours or not record) then
    local place = next_places(1) + 1
    if ours then
      local _, _, kept = parse_record(record)
      place = kept
    end
    local wait, entry, flow = tonumber(ARGV[at + 3]), id .. ARGV[at + 4], ARGV[at + 5]
    if wait > 0 then
      redis.call('ZADD', base .. 'due', now_ms() + wait, entry .. struct.pack('>d', place) .. flow)
    else
      enqueue(flow, entry, place)
      woken = true
    end
  end
end
for channel, message in pairs(told) do redis.call('PUBLISH', channel, message) end
if woken then redis.call('PUBLISH', ARGV[1], '') end
return released
