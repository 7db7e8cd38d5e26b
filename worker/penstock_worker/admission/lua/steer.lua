-- What operators and stewards set: limits, settings, pauses, and the state of gates.
-- KEYS[1] epoch.  ARGV: operation, wake channel, then by operation:
--   limits    for each: scope, unit, window in ms, amount   all configured limits; others of that
--             kind are lifted, learned ones stay
--   settings  name of a hash (credentials, groups, weights, tuning), field, value, …: all of it
--   pauses    for each: scope, reason                       all pauses; what is not named resumes
--   shut      gate, state, reason, ms until it may be tried  keeps the later time
--   try       gate       lets probes through at once
--   restore   gate       the gate is closed, in the sense of a breaker: work flows
local OF_CREDENTIAL = { ['gate:credential'] = true, ['gate:access'] = true, ['b:credential'] = true,
  ['b:group'] = true, ['b:start'] = true }
local operation, at = ARGV[1], 3
local now = now_ms()

local function resume(gate)
  if redis.call('EXISTS', base .. 'w:' .. gate) == 1 then
    redis.call('ZADD', base .. 'parked', now, gate)
  end
end

local function lift(scope, words)
  local kept = {}
  for unit, window in string.gmatch(words, '(%a[%a_]*)/(%d+)') do
    local name = scope .. '|' .. unit .. '/' .. window
    if redis.call('HGET', base .. 'b:' .. name, 'source') == 'configured' then
      redis.call('HDEL', base .. 'b:' .. name, 'source', 'amount')
    else
      kept[#kept + 1] = unit .. '/' .. window
    end
  end
  if #kept > 0 then
    redis.call('HSET', base .. 'rules', scope, table.concat(kept, ' '))
  else
    redis.call('HDEL', base .. 'rules', scope)
  end
end

if operation == 'limits' then
  local rules = redis.call('HGETALL', base .. 'rules')
  for i = 1, #rules, 2 do lift(rules[i], rules[i + 1]) end
  while ARGV[at] do
    local scope, word = ARGV[at], ARGV[at + 1] .. '/' .. ARGV[at + 2]
    local words = redis.call('HGET', base .. 'rules', scope)
    local known = words and string.find(' ' .. words .. ' ', ' ' .. word .. ' ', 1, true)
    if not known then
      redis.call('HSET', base .. 'rules', scope, words and words .. ' ' .. word or word)
    end
    local KEY = base .. 'b:' .. scope .. '|' .. word
    redis.call('HSET', KEY, 'amount', ARGV[at + 3], 'source', 'configured')
    redis.call('HSETNX', KEY, 'tat', now)
    at = at + 4
  end
  for _, gate in ipairs(redis.call('ZRANGE', base .. 'parked', 0, -1)) do
    if string.sub(gate, 1, 2) == 'b:' then look_again(gate) end
  end
elseif operation == 'settings' then
  redis.call('DEL', base .. ARGV[at])
  for i = at + 1, #ARGV, 2 do redis.call('HSET', base .. ARGV[at], ARGV[i], ARGV[i + 1]) end
  if ARGV[at] == 'credentials' then
    -- Who waits at something of a credential may have another one now.
    for _, gate in ipairs(redis.call('ZRANGE', base .. 'parked', 0, -1)) do
      if OF_CREDENTIAL[string.match(gate, '^[^:]+:[^:|]+') or ''] then look_again(gate) end
    end
  end
elseif operation == 'pauses' then
  local before = redis.call('HKEYS', base .. 'paused')
  redis.call('DEL', base .. 'paused')
  for i = at, #ARGV, 2 do redis.call('HSET', base .. 'paused', ARGV[i], ARGV[i + 1]) end
  for _, scope in ipairs(before) do
    if redis.call('HEXISTS', base .. 'paused', scope) == 0 then resume('pause:' .. scope) end
  end
elseif operation == 'shut' then
  local gate, from = ARGV[at], now + tonumber(ARGV[at + 3])
  local known = tonumber(redis.call('HGET', base .. 'shut', gate) or '0')
  redis.call('HSET', base .. 'shut', gate, math.max(known, from))
  redis.call('HSET', base .. 'gate:' .. gate, 'state', ARGV[at + 1], 'reason', ARGV[at + 2],
    'changed', now, 'epoch', now)
elseif operation == 'try' then
  if redis.call('HEXISTS', base .. 'shut', ARGV[at]) == 1 then
    redis.call('HSET', base .. 'shut', ARGV[at], now)
    resume('gate:' .. ARGV[at])
  end
elseif operation == 'restore' then
  redis.call('HDEL', base .. 'shut', ARGV[at])
  redis.call('HSET', base .. 'gate:' .. ARGV[at], 'state', 'closed', 'changed', now)
  resume('gate:' .. ARGV[at])
else
  return redis.error_reply('unknown operation ' .. tostring(operation))
end
redis.call('PUBLISH', ARGV[2], '')
return redis.status_reply('OK')
