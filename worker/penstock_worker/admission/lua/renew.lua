-- Renew the leases of one worker.
-- KEYS[1] epoch.  ARGV: lease in ms, worker name, then for each job: id, token, rest of its record
-- (from its tail to its flow), and '1' when it was claimed under an earlier epoch, else ''.
-- A job of an earlier epoch that nobody holds is leased again: the index was lost, not the lease.
-- So is one that lapsed and that nobody has claimed since. Returns {state, epoch, lost id, ...}.
local expiry = now_ms() + tonumber(ARGV[1])
local epoch = redis.call('HMGET', KEYS[1], 'state', 'id')
local out = { epoch[1] or '', epoch[2] or '' }
redis.call('ZADD', base .. 'workers', now_ms(), ARGV[2])
redis.call('ZREMRANGEBYSCORE', base .. 'workers', '-inf', now_ms() - 3600000)

local function lease_again(id, token, rest)
  local record = parse_record(token .. rest)
  redis.call('HDEL', base .. 'lapsed', id)
  redis.call('ZREM', base .. 'q:' .. record.flow, id .. record.tail)
  local occupied = {}
  for _, bucket in ipairs(buckets_of(record.flow)) do
    if bucket.window == 0 then
      take(bucket, 1, false)
      occupied[#occupied + 1] = 'b:' .. bucket.name
    end
  end
  redis.call('HSET', base .. 'held', id, record_of(token, record.tail, record.place,
    record.tokens_in, record.tokens_out, record.epoch, record.flow, occupied))
  redis.call('ZADD', base .. 'leases', expiry, id)
end

for at = 3, #ARGV, 4 do
  local id, token, rest, earlier = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local record = redis.call('HGET', base .. 'held', id)
  if record then
    if string.sub(record, 1, 8) == token then
      redis.call('ZADD', base .. 'leases', 'GT', expiry, id) -- a stash may hold it for longer
    else
      out[#out + 1] = id
    end
  elseif earlier == '1' or redis.call('HGET', base .. 'lapsed', id) == token then
    lease_again(id, token, rest)
  else
    out[#out + 1] = id
  end
end
write_buckets()
return out
