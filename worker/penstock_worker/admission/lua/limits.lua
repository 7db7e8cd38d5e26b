-- The limits that a flow's jobs draw on; stands between index.lua and the scripts that need it.
--
-- `rules` maps a scope to its limits: words `unit/window_ms`, 0 for concurrency, which has no window.
-- Scopes: provider, credential:<c>, group:<c>/<g>, model:<m>, workspace:<ws>, tag:<t>; `*` stands
-- for each name that has no rule of its own. `tuning` says under `counted` what the provider counts
-- as `tokens`: sum (input and output), max (the larger of input and max_tokens) or input.
-- A bucket `b:<scope>|<unit>/<window>` is a hash:
--   amount   units a window; for concurrency, units at the same time
--   source   configured, learned (from headers) or found (from refusals)
--   factor   share of the amount that is used, moved by observe.lua
--   tat      ms: when all that was admitted so far is paid off at the bucket's rate
--   rtat     ms: the same of the share that is reserved for interactive work
--   each     units that the last job was charged
--   used     units that leases occupy (concurrency)
--   spent, span   units in the present window, and which one that is (windows of LONG_MS and more)
-- Rates are paced: a job is admitted once earlier ones are paid off; BURST_MS makes up for late
-- claims. So no span of t ms ever sees more than rate * (t + BURST_MS) and one job more.
--
-- Where nothing is known of a group's limits yet, `tuning` may say under `start` how many calls go
-- out at first: the bucket start:<c>/<g> grows by one with each call that is accepted, until a limit
-- is known or it is large. So the first 429 meets a few calls, not all slots.
local BURST_MS = 300
local RESERVE = 0.2     -- of every limit, for interactive work
local RESERVE_MS = 100  -- other work leaves this much of the burst
local MOST_AHEAD = 2    -- windows: a bucket never owes more, whatever the clock did
local LONG_MS = 3600000 -- longer windows are counted, not paced: a day's limit may be used at once

local caches = { scopes = {}, buckets = {}, credentials = {}, groups = {}, lengths = {} }

local function cached(cache, name, read)
  local found = caches[cache][name]
  if found == nil then
    found = read() or false
    caches[cache][name] = found
  end
  return found
end

-- `credentials` names the credential of a workspace, and of `workspace/configuration` where that has
-- another one; where it names neither, it is the platform's. A key that is tested stands apart.
local function credential_of(ws, configuration)
  if configuration == KEY_CHECK then return KEY_CHECK end
  local name = ws .. '/' .. configuration
  return cached('credentials', name, function()
    local found = redis.call('HMGET', base .. 'credentials', name, ws)
    return found[1] or found[2] or 'platform'
  end)
end

local function group_of(model)
  return cached('groups', model, function()
    return redis.call('HGET', base .. 'groups', model) or model
  end)
end

local RULED = redis.call('EXISTS', base .. 'rules') == 1
local tuning = redis.call('HMGET', base .. 'tuning', 'counted', 'start')
local COUNTED, START = tuning[1] or 'max', tonumber(tuning[2] or '0')
local STARTED = 512 -- calls at the same time: from here on there is no limit worth looking for

local function bucket_of(name, unit, window, general)
  return cached('buckets', name, function()
    local state = redis.call('HMGET', base .. 'b:' .. name, 'amount', 'factor', 'tat', 'rtat', 'used',
      'spent', 'span')
    local amount, now = tonumber(state[1] or '0'), now_ms()
    if general then amount = tonumber(redis.call('HGET', base .. 'b:' .. general, 'amount') or '0') end
    if amount <= 0 then return false end
    local bucket = { name = name, unit = unit, window = window, amount = amount }
    if window == 0 then
      bucket.used = tonumber(state[5] or '0')
    elseif window >= LONG_MS then
      bucket.span = math.floor(now / window)
      bucket.spent = tonumber(state[7]) == bucket.span and tonumber(state[6]) or 0
    else
      bucket.unit_ms = window / (amount * tonumber(state[2] or '1'))
      local most = now + MOST_AHEAD * window
      bucket.tat = tonumber(state[3] or now)
      bucket.rtat = math.min(tonumber(state[4] or '0'), most)
      if bucket.tat > most then bucket.tat, bucket.changed = most, true end
    end
    return bucket
  end)
end

-- The buckets of one scope: those of its own rule, else those of the rule for `*`.
local function add_scope(out, kind, name, own, general)
  local words = own or general
  if not words then return end
  for unit, window in string.gmatch(words, '(%a[%a_]*)/(%d+)') do
    local scope, word = name and kind .. ':' .. name or kind, '|' .. unit .. '/' .. window
    local bucket = bucket_of(scope .. word, unit, tonumber(window), not own and kind .. ':*' .. word)
    if bucket then out[#out + 1] = bucket end
  end
end

local function start_bucket(group)
  local name = 'start:' .. group
  return cached('buckets', name, function()
    local state = redis.call('HMGET', base .. 'b:' .. name, 'amount', 'used', 'done')
    if state[3] then return false end
    return { name = name, unit = 'concurrency', window = 0, amount = tonumber(state[1] or START),
      used = tonumber(state[2] or '0'), starting = true }
  end)
end

local function buckets_of(flow)
  if not RULED and START == 0 then return {} end
  return cached('scopes', flow, function()
    local ws, _, tag, model, configuration = parts_of(flow)
    local cred = credential_of(ws, configuration)
    local group = cred .. '/' .. group_of(model)
    local rules = redis.call('HMGET', base .. 'rules', 'provider', 'credential:' .. cred,
      'credential:*', 'group:' .. group, 'group:*', 'model:' .. model, 'model:*',
      'workspace:' .. ws, 'workspace:*', 'tag:' .. tag, 'tag:*')
    local out = {}
    add_scope(out, 'provider', nil, rules[1])
    add_scope(out, 'credential', cred, rules[2], rules[3])
    add_scope(out, 'group', group, rules[4], rules[5])
    add_scope(out, 'model', model, rules[6], rules[7])
    add_scope(out, 'workspace', ws, rules[8], rules[9])
    if tag ~= '' then add_scope(out, 'tag', tag, rules[10], rules[11]) end
    local starting = START > 0 and start_bucket(group)
    if starting then out[#out + 1] = starting end
    return out
  end)
end

-- How many flows a gate may let go on at once: about as many as its bucket has room for jobs, and
-- one more, which then finds out when there is room again.
local function room_at(gate, most)
  local name, unit, window, class = string.match(gate, '^b:(.*|(%a[%a_]*)/(%d+))|(%a)$')
  if not name then return most end
  local kind = string.match(name, '^(%a+):')
  local own = redis.call('HEXISTS', base .. 'b:' .. name, 'amount') == 1
  local general = not own and kind and kind .. ':*|' .. unit .. '/' .. window
  local bucket = bucket_of(name, unit, tonumber(window), general)
  if not bucket then return most end
  local room = 1
  if bucket.window == 0 then
    local most_at_once = class == 'b' and math.max(1, bucket.amount * (1 - RESERVE)) or bucket.amount
    room = most_at_once - bucket.used
  elseif bucket.span then
    room = bucket.amount - bucket.spent
  else
    local each = tonumber(redis.call('HGET', base .. 'b:' .. name, 'each') or '1')
    local left_ms = class == 'b' and RESERVE_MS or 0
    room = (now_ms() - left_ms - bucket.tat) / (bucket.unit_ms * each)
  end
  return math.max(1, math.min(most, math.floor(room) + 2))
end

-- What calls of this capability and model really use, once enough of them were seen:
-- {input tokens for each estimated one, output tokens, and the same of long ones}, or false.
local function length_of(capability, model)
  return cached('lengths', capability .. model, function()
    local stored = redis.call('HGET', base .. 'lengths', capability .. model)
    if not stored then return false end
    local count, ratio, output, long_ratio, long_output = struct.unpack('>I4dddd', stored)
    return count >= 5 and { ratio, output, long_ratio, long_output }
  end)
end

-- Tokens in and out to expect of an entry, at most out, and those in and out that such calls mostly
-- use at most (nil while that is not known).
local function expected(entry, model)
  local tokens_in, most_out = struct.unpack('>I4I4', entry, 17)
  local known = length_of(string.sub(entry, 27, 28), model)
  if not known then return tokens_in, most_out, most_out end
  return math.ceil(tokens_in * known[1]), math.min(most_out, math.ceil(known[2])), most_out,
    math.ceil(tokens_in * known[3]), math.min(most_out, math.ceil(known[4]))
end

local function cost_of(bucket, tokens_in, tokens_out, most_out)
  local unit = bucket.unit
  if unit == 'requests' or unit == 'concurrency' then return 1 end
  if unit == 'input_tokens' then return tokens_in end
  if unit == 'output_tokens' then return tokens_out end
  if COUNTED == 'max' then return math.max(most_out, tokens_in) end
  if COUNTED == 'input' then return tokens_in end
  return tokens_in + tokens_out
end

-- When a bucket admits a cost: now (returns nil) or at a time in ms (math.huge: when a lease ends).
local function admits_at(bucket, cost, interactive)
  if bucket.window == 0 then
    local most = interactive and bucket.amount or math.max(1, bucket.amount * (1 - RESERVE))
    if bucket.used + cost <= most then return nil end
    return math.huge
  end
  local now = now_ms()
  if bucket.span then
    if bucket.spent + cost <= bucket.amount then return nil end
    return (bucket.span + 1) * bucket.window
  end
  local at = bucket.tat
  if not (interactive and bucket.rtat <= now) then at = at + RESERVE_MS end
  if at <= now then return nil end
  return at
end

-- A large job gets no burst, since providers that slice the minute would refuse it.
local function take(bucket, cost, interactive)
  bucket.changed = true
  if bucket.window == 0 then
    bucket.used = bucket.used + cost
    return
  end
  if bucket.span then
    bucket.spent = bucket.spent + cost
    return
  end
  bucket.each = cost
  local now, worth = now_ms(), cost * bucket.unit_ms
  local burst = math.max(RESERVE_MS, math.min(BURST_MS, 1000 - worth))
  if interactive and bucket.tat > now - RESERVE_MS then
    bucket.rtat = math.max(bucket.rtat, now - 1000) + worth / RESERVE
  end
  bucket.tat = math.max(bucket.tat, now - burst) + worth
end

-- Charge more, or less, than was taken.
local function correct(bucket, more)
  if bucket.window == 0 or more == 0 then return end
  bucket.changed = true
  if bucket.span then
    bucket.spent = math.max(0, bucket.spent + more)
  else
    bucket.tat = bucket.tat + more * bucket.unit_ms
  end
end

local function write_buckets()
  for name, bucket in pairs(caches.buckets) do
    if bucket and bucket.changed then
      if bucket.window == 0 then
        redis.call('HSET', base .. 'b:' .. name, 'used', bucket.used)
      elseif bucket.span then
        redis.call('HSET', base .. 'b:' .. name, 'spent', bucket.spent, 'span', bucket.span)
      else
        redis.call('HSET', base .. 'b:' .. name, 'tat', string.format('%.3f', bucket.tat),
          'rtat', string.format('%.3f', bucket.rtat))
        if bucket.each then redis.call('HSET', base .. 'b:' .. name, 'each', bucket.each) end
      end
    end
  end
end
