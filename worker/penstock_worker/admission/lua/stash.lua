-- Keep settlements for later while Postgres is away, and hold their leases so that nobody calls
-- again meanwhile. KEYS[1] epoch.  ARGV: settlements as JSON, hold in ms, then id, token pairs.
-- Returns the entry's ID in the stream of unsettled work.
local entry = redis.call('XADD', base .. 'unsettled', '*', 'settlements', ARGV[1])
local expiry = now_ms() + tonumber(ARGV[2])
for at = 3, #ARGV, 2 do
  local record = redis.call('HGET', base .. 'held', ARGV[at])
  if record and string.sub(record, 1, 8) == ARGV[at + 1] then
    redis.call('ZADD', base .. 'leases', expiry, ARGV[at])
  end
end
return entry
