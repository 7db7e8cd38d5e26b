-- Put jobs that Postgres knows into the index; jobs that are leased are left alone.
-- KEYS[1] epoch.  ARGV: wake channel ('': wake nobody), then for each job: entry, flow, ms to wait,
-- and the token of its lapsed lease ('': none). Returns the number put in. Safe to repeat.
local put = 0
for at = 2, #ARGV, 4 do
  local entry, flow, wait, lapsed = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2]), ARGV[at + 3]
  local id = string.sub(entry, 1, 16)
  if redis.call('HEXISTS', base .. 'held', id) == 0 then
    put = put + 1
    if lapsed ~= '' then redis.call('HSET', base .. 'lapsed', id, lapsed) end
    local place = next_places(1) + 1
    if wait > 0 then
      redis.call('ZADD', base .. 'due', now_ms() + wait, entry .. struct.pack('>d', place) .. flow)
    else
      enqueue(flow, entry, place)
    end
  end
end
if put > 0 and ARGV[1] ~= '' then redis.call('PUBLISH', ARGV[1], '') end
return put
