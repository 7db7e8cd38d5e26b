-- The index's epoch: closed on doubt, rebuilt and opened by a steward.
-- KEYS[1] epoch.  ARGV: operation, then by operation:
--   check  server run      closes the index when it was opened under another run of the server
--   begin  new ID, server run, lease in ms   starts a rebuild unless one is under way in this run;
--          leases that stand get a whole lease more to be renewed; returns the rebuild's ID
--   open   ID, wake channel     opens the index when this rebuild still counts
--   unheld ids ...              returns the ids that nobody holds a lease on
-- `check` and `open` return the state.
local operation = ARGV[1]
if operation == 'check' then
  local epoch = redis.call('HMGET', KEYS[1], 'state', 'run')
  if epoch[1] and epoch[2] ~= ARGV[2] then
    redis.call('HSET', KEYS[1], 'state', 'stale')
    return 'stale'
  end
  return epoch[1] or ''
elseif operation == 'begin' then
  local epoch = redis.call('HMGET', KEYS[1], 'id', 'state', 'run')
  if epoch[2] == 'rebuilding' and epoch[3] == ARGV[3] then return epoch[1] end
  redis.call('HSET', KEYS[1], 'id', ARGV[2], 'state', 'rebuilding', 'run', ARGV[3])
  local expiry = now_ms() + tonumber(ARGV[4])
  for _, id in ipairs(redis.call('ZRANGE', base .. 'leases', 0, -1)) do
    redis.call('ZADD', base .. 'leases', 'GT', expiry, id)
  end
  return ARGV[2]
elseif operation == 'open' then
  local epoch = redis.call('HMGET', KEYS[1], 'id', 'state')
  if epoch[1] == ARGV[2] and epoch[2] == 'rebuilding' then
    redis.call('HSET', KEYS[1], 'state', 'open')
    redis.call('PUBLISH', ARGV[3], '')
    return 'open'
  end
  return epoch[2] or ''
elseif operation == 'unheld' then
  local out = {}
  for at = 2, #ARGV do
    if redis.call('HEXISTS', base .. 'held', ARGV[at]) == 0 then out[#out + 1] = ARGV[at] end
  end
  return out
end
return redis.error_reply('unknown operation ' .. tostring(operation))
