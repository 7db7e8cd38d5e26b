-- Move limits by what the provider said: its headers, and its refusals.
-- KEYS[1] epoch.  ARGV: wake channel, then for each observation: a flow of the calls, unit, window
-- in ms, limit ('': not told), units used of it ('': not told), refusals, ms until the provider
-- wants to be asked again ('': not told), ms that its calls take, calls a window that it accepted of
-- this worker.
-- An observation moves the bucket of its unit and window that the flow draws on; where there is
-- none, it makes one for the flow's credential and group of models.
--
-- The provider's own bucket shows how far ahead of its refill everybody together is. While that is
-- rising towards a second's worth, we slow down by as much as it rises; while it is low and flows
-- wait for this limit, we speed up, as far as one of our jobs reserves more than it shows: what a
-- provider counts as tokens is often not told. A refusal takes a tenth.
local STEP_MS, LOW, HIGH, LEAST = 1000, 0.3, 0.6, 0.02
local TOP = { requests = 1.02, tokens = 64, input_tokens = 2, output_tokens = 64 }

local function own_bucket(flow, unit, window)
  local found
  for _, bucket in ipairs(buckets_of(flow)) do
    local kind = string.match(bucket.name, '^%a+')
    if bucket.unit == unit and bucket.window == window and kind ~= 'workspace' and kind ~= 'tag' then
      found = bucket
    end
  end
  return found and found.name
end

local function make(flow, unit, window, amount, source)
  local ws, _, _, model, configuration = parts_of(flow)
  local group = credential_of(ws, configuration) .. '/' .. group_of(model)
  local scope = 'group:' .. group
  local word = unit .. '/' .. window
  local words = redis.call('HGET', base .. 'rules', scope)
  redis.call('HSET', base .. 'rules', scope, words and words .. ' ' .. word or word)
  local name = scope .. '|' .. word
  redis.call('HSET', base .. 'b:' .. name, 'amount', amount, 'source', source, 'tat', now_ms())
  RULED = true
  caches.scopes[flow] = nil
  local start = 'b:start:' .. group
  redis.call('HSET', base .. start, 'done', 1)
  look_again(start .. '|i')
  look_again(start .. '|b')
  return name
end

local function waits(name)
  return redis.call('ZCARD', base .. 'w:b:' .. name .. '|i') > 0
    or redis.call('ZCARD', base .. 'w:b:' .. name .. '|b') > 0
end

local function move(name, seen)
  local now, KEY = now_ms(), base .. 'b:' .. name
  local state = redis.call('HMGET', KEY, 'amount', 'source', 'factor', 'stepped', 'level', 'hold', 'tat', 'each')
  local amount, source = tonumber(state[1] or '0'), state[2]
  if amount <= 0 then return end
  if seen.limit and source ~= 'configured' and seen.limit ~= amount then
    amount, source = seen.limit, 'learned'
    redis.call('HSET', KEY, 'amount', amount, 'source', source)
  end
  local factor, hold = tonumber(state[3] or '1'), tonumber(state[6] or '0')
  local before = factor
  local slice, rest_ms = amount * 1000 / seen.window, math.max(STEP_MS, seen.takes_ms)
  if seen.refusals > 0 then
    if seen.retry_ms then
      redis.call('HSET', KEY, 'tat', math.max(tonumber(state[7] or now), now + seen.retry_ms))
    end
    if now >= hold then
      factor, hold = factor * 0.9, now + rest_ms
    end
    redis.call('HINCRBY', KEY, 'refused', seen.refusals)
    redis.call('HSET', KEY, 'refused_at', now)
  elseif now - tonumber(state[4] or '0') >= rest_ms then
    local top = source == 'found' and 64 or seen.used and TOP[seen.unit] or 1
    if seen.used then
      local rise = seen.used - tonumber(state[5] or seen.used)
      local share = rise / (now - tonumber(state[4] or now - STEP_MS)) * seen.window / amount
      if seen.used > HIGH * slice and share > 0.02 then
        if now >= hold then factor, hold = factor - math.min(0.3, share) * factor, now + rest_ms end
      elseif seen.used < LOW * slice and waits(name) then
        local target = math.min(top, math.max(1.02, tonumber(state[8] or '0') / math.max(1, seen.used)))
        local faster = factor < 0.9 * target and math.min(0.95 * target, 2 * factor)
        factor = math.max(factor, faster or math.min(target, factor * 1.05))
      end
      redis.call('HSET', KEY, 'level', seen.used)
    elseif waits(name) then
      factor = factor * 1.01
    end
    factor = math.min(top, factor)
    redis.call('HSET', KEY, 'stepped', now)
  end
  factor = math.max(LEAST, factor)
  if factor ~= before then redis.call('HSET', KEY, 'factor', factor, 'hold', hold) end
end

for at = 2, #ARGV, 9 do
  local flow = ARGV[at]
  local seen = {
    unit = ARGV[at + 1], window = tonumber(ARGV[at + 2]), limit = tonumber(ARGV[at + 3]),
    used = tonumber(ARGV[at + 4]), refusals = tonumber(ARGV[at + 5]),
    retry_ms = tonumber(ARGV[at + 6]), takes_ms = tonumber(ARGV[at + 7]),
  }
  local name = own_bucket(flow, seen.unit, seen.window)
  if not name and seen.limit then
    name = make(flow, seen.unit, seen.window, seen.limit, 'learned')
  elseif not name and seen.refusals > 0 then
    local workers = redis.call('ZCOUNT', base .. 'workers', now_ms() - 15000, '+inf')
    name = make(flow, seen.unit, seen.window, math.max(1, tonumber(ARGV[at + 8]) * math.max(1, workers)), 'found')
  end
  if name then move(name, seen) end
end
return redis.status_reply('OK')
