-- Queue new jobs and wake the provider's workers.
-- KEYS[1] epoch.  ARGV: wake channel, then for each flow: flow, count, count entries.
-- Returns the number of entries that were new. Safe to repeat.
local added = 0
local at = 2
while ARGV[at] do
  local flow, count = ARGV[at], tonumber(ARGV[at + 1])
  local place = next_places(count)
  local pairs_ = {}
  for i = 1, count do
    pairs_[2 * i - 1] = place + i
    pairs_[2 * i] = ARGV[at + 1 + i]
  end
  local before = redis.call('ZCARD', base .. 'q:' .. flow)
  in_pieces('ZADD', base .. 'q:' .. flow, pairs_, 2, 'NX')
  added = added + redis.call('ZCARD', base .. 'q:' .. flow) - before
  make_ready(flow)
  at = at + 2 + count
end
redis.call('PUBLISH', ARGV[1], '')
return added
