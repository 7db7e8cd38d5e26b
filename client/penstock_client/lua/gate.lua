-- An operator's word on a gate that is shut.
-- KEYS[1] epoch.  ARGV: `try` (let probes through at once) or `restore` (let everything through),
-- wake channel, gate. Returns 1, or 0 when the gate is not shut.
local operation, gate = ARGV[1], ARGV[3]
if redis.call('HEXISTS', base .. 'shut', gate) == 0 then return 0 end
if operation == 'try' then
  redis.call('HSET', base .. 'shut', gate, now_ms())
else
  redis.call('HDEL', base .. 'shut', gate)
  redis.call('HSET', base .. 'gate:' .. gate, 'state', 'closed', 'changed', now_ms())
end
look_again('gate:' .. gate)
redis.call('PUBLISH', ARGV[2], '')
return 1
