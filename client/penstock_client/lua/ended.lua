-- Jobs that somebody else than their worker has ended: take them out of the queue, let their calls be
-- stopped, cache their results, tell who waits.
-- KEYS[1] epoch.  ARGV: result lifetime in s, provider, then for each job: entry, flow, token that it
-- was held under ('': nobody held it), job ID as text, done channel, result body.
-- An entry that waits for a time stays: the ledger refuses it. A call is stopped by whoever still has
-- the lease with that token, and by nobody else. Returns how many calls are to be stopped.
local told, stopped = {}, 0
for at = 3, #ARGV, 6 do
  local entry, flow, token = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local text, channel = ARGV[at + 3], ARGV[at + 4]
  local id = string.sub(entry, 1, 16)
  redis.call('ZREM', base .. 'q:' .. flow, entry)
  if token ~= '' then
    if redis.call('HGET', base .. 'lapsed', id) == token then redis.call('HDEL', base .. 'lapsed', id) end
    local record = redis.call('HGET', base .. 'held', id)
    if record and string.sub(record, 1, 8) == token then
      redis.call('HSET', base .. 'stopping', id, token)
      stopped = stopped + 1
    end
  end
  redis.call('SET', base .. 'result:' .. text, ARGV[at + 5], 'EX', ARGV[1])
  told[channel] = (told[channel] or ARGV[2]) .. ' ' .. text
end
for channel, message in pairs(told) do redis.call('PUBLISH', channel, message) end
return stopped
