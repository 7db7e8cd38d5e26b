-- Give leases back after settlement: correct what was charged by what was used, learn from it, tell
-- the breaker, cache results, tell who waits.
-- KEYS[1] epoch.  ARGV: wake channel, result lifetime in s, provider, then for each job:
-- id, token, action, three by action, tokens in and out that count ('': not known), verdict.
--   done    job ID as text, done channel, result body ('': too large to cache)
--   again   ms to wait, new entry tail (12 bytes), flow
--   drop    '', '', ''
-- Verdicts: `+` the provider works, `-` it fails, `0` nothing was sent, '' says nothing.
-- A lease that somebody else holds by now is left alone. A job whose lease was lost with the index
-- queues again all the same. Returns the number of leases given back.
local LENGTH_MEMORY = 20 -- calls: how slowly a learned length forgets
local LONG_FORGETS = 0.02 -- of its way back to the usual, with each call that is shorter

local released, woken = 0, false
local told, owed, learned, states, accepted = {}, {}, {}, {}, {}
local now = now_ms()

-- The breaker of a model: {epoch, streak, fails, oks, since}, or false where it never failed.
local function state_of(gate, create)
  if states[gate] == nil or (create and not states[gate]) then
    local stored = redis.call('HMGET', base .. 'gate:' .. gate, 'epoch', 'streak', 'fails', 'oks', 'since')
    if stored[2] or create then
      states[gate] = {
        epoch = tonumber(stored[1] or '0'), streak = tonumber(stored[2] or '0'),
        fails = tonumber(stored[3] or '0'), oks = tonumber(stored[4] or '0'),
        since = tonumber(stored[5] or now),
      }
    else
      states[gate] = false
    end
  end
  return states[gate]
end

local function let_through(gate)
  redis.call('HDEL', base .. 'shut', gate)
  redis.call('HSET', base .. 'gate:' .. gate, 'state', 'closed', 'changed', now)
  look_again('gate:' .. gate)
  woken = true
end

local function shut(gate, reason)
  local open_ms = tonumber(redis.call('HGET', base .. 'tuning', 'open_ms') or '60000')
  redis.call('HSET', base .. 'shut', gate, now + open_ms)
  redis.call('HSET', base .. 'gate:' .. gate, 'state', 'open', 'reason', reason, 'changed', now, 'epoch', now)
end

local function judge(record, verdict)
  local _, _, _, model = parts_of(record.flow)
  local gate = 'model:' .. model
  local state = state_of(gate, verdict == '-')
  local is_probe = false
  for name in string.gmatch(record.occupied, 'gate:(%Z+)') do
    if name == gate then is_probe = true elseif verdict == '+' then let_through(name) end
  end
  if not state or state.epoch ~= record.epoch then return end
  state.changed = true
  if now - state.since > 60000 then state.fails, state.oks, state.since = 0, 0, now end
  if verdict == '+' then
    state.streak, state.oks = 0, state.oks + 1
    if is_probe then
      state.fails = 0
      let_through(gate)
    end
    return
  end
  state.streak, state.fails = state.streak + 1, state.fails + 1
  local needed = tonumber(redis.call('HGET', base .. 'tuning', 'failures') or '5')
  local often = state.fails >= 2 * needed and state.fails >= state.oks
  if is_probe or state.streak >= needed or often then
    local reason = is_probe and 'a probe failed' or state.streak .. ' failures in a row'
    if not is_probe and state.streak < needed then
      reason = state.fails .. ' of ' .. state.fails + state.oks .. ' calls failed within a minute'
    end
    shut(gate, reason)
    state.epoch, state.streak, state.fails, state.oks, state.since = now, 0, 0, 0, now
  end
end

-- What a flow used more than it was charged for, summed over this group.
local function account(record, tokens_in, tokens_out, unsent)
  local owing = owed[record.flow] or { 0, 0, 0 }
  owing[1] = owing[1] + tokens_in - record.tokens_in
  owing[2] = owing[2] + tokens_out - record.tokens_out
  owing[3] = owing[3] + (unsent and 1 or 0)
  owed[record.flow] = owing
end

local function learn(record, tokens_in, tokens_out)
  local _, _, _, model = parts_of(record.flow)
  local name = string.sub(record.tail, 11, 12) .. model
  local sums = learned[name] or { 0, 0, 0, 0, 0 }
  local ratio = tokens_in / math.max(1, (struct.unpack('>I4', record.tail)))
  learned[name] = { sums[1] + 1, sums[2] + ratio, sums[3] + tokens_out, math.max(sums[4], ratio),
    math.max(sums[5], tokens_out) }
end

for at = 4, #ARGV, 9 do
  local id, token, action, verdict = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 8]
  local stored = redis.call('HGET', base .. 'held', id)
  local record = stored and parse_record(stored)
  local ours = record and record.token == token
  if ours then
    if drop_lease(id, record) then woken = true end
    released = released + 1
    local tokens_in, tokens_out = tonumber(ARGV[at + 6]), tonumber(ARGV[at + 7])
    if tokens_in then
      account(record, tokens_in, tokens_out, verdict == '0')
      if verdict == '+' and action == 'done' then learn(record, tokens_in, tokens_out) end
    end
    if verdict == '+' or verdict == '-' then judge(record, verdict) end
    if verdict == '+' then accepted[record.flow] = (accepted[record.flow] or 0) + 1 end
  end
  if action == 'done' then
    local text, channel, body = ARGV[at + 3], ARGV[at + 4], ARGV[at + 5]
    if body ~= '' then
      redis.call('SET', base .. 'result:' .. text, body, 'EX', ARGV[2])
    else
      redis.call('DEL', base .. 'result:' .. text)
    end
    told[channel] = (told[channel] or ARGV[3]) .. ' ' .. text
  elseif action == 'again' and (ours or not record) then
    local place = ours and record.place or next_places(1) + 1
    local wait, entry, flow = tonumber(ARGV[at + 3]), id .. ARGV[at + 4], ARGV[at + 5]
    if wait > 0 then
      redis.call('ZADD', base .. 'due', now + wait, entry .. struct.pack('>d', place) .. flow)
    else
      enqueue(flow, entry, place)
      woken = true
    end
  end
end

-- Turns are corrected by what was really used.
local WEIGHT = { ['0'] = 8, ['1'] = 2, ['2'] = 1 }
for flow, owing in pairs(owed) do
  local ws, lane = parts_of(flow)
  local tree, tokens = TREE[lane], owing[1] + owing[2]
  local TAGS, FTAGS = tags_of(tree)
  if tokens ~= 0 then
    local worth = tokens / tonumber(redis.call('HGET', base .. 'weights', ws) or '1')
    local moved = redis.call('ZADD', base .. tree .. 'turns', 'XX', 'INCR', worth, ws)
    local sibling = SIBLING[tree]
    if sibling then
      moved = redis.call('ZADD', base .. sibling .. 'turns', 'XX', 'INCR', worth, ws) or moved
    end
    if not moved then redis.call('ZADD', TAGS, 'XX', 'INCR', worth, ws) end
    local gate = redis.call('HGET', base .. 'at', flow)
    if gate then redis.call('ZADD', base .. 'ww:' .. gate, 'XX', 'INCR', worth, ws) end
    worth = tokens / (WEIGHT[lane] or 1)
    if not redis.call('ZADD', base .. tree .. 'flows:' .. ws, 'XX', 'INCR', worth, flow) then
      redis.call('ZADD', FTAGS .. ws, 'XX', 'INCR', worth, flow)
    end
  end
  for _, bucket in ipairs(buckets_of(flow)) do
    local unit, more = bucket.unit, 0
    if unit == 'requests' then more = -owing[3]
    elseif unit == 'input_tokens' or (unit == 'tokens' and COUNTED == 'input') then more = owing[1]
    elseif unit == 'output_tokens' then more = owing[2]
    elseif unit == 'tokens' and COUNTED == 'sum' then more = tokens end
    correct(bucket, more)
  end
end
for flow, count in pairs(accepted) do
  for _, bucket in ipairs(buckets_of(flow)) do
    if bucket.starting then
      bucket.amount = bucket.amount + count
      redis.call('HSET', base .. 'b:' .. bucket.name, 'amount', bucket.amount)
      if bucket.amount >= STARTED then redis.call('HSET', base .. 'b:' .. bucket.name, 'done', 1) end
      look_again('b:' .. bucket.name .. '|i')
      look_again('b:' .. bucket.name .. '|b')
      woken = true
    end
  end
end
for name, bucket in pairs(caches.buckets) do
  if bucket and bucket.changed then
    local at = bucket.tat or now
    redis.call('ZADD', base .. 'parked', 'XX', 'LT', at, 'b:' .. name .. '|i')
    redis.call('ZADD', base .. 'parked', 'XX', 'LT', at + RESERVE_MS, 'b:' .. name .. '|b')
  end
end
write_buckets()

for name, sums in pairs(learned) do
  local count, ratio, output, long_ratio, long_output = 0, 1, 0, 0, 0
  local stored = redis.call('HGET', base .. 'lengths', name)
  if stored then count, ratio, output, long_ratio, long_output = struct.unpack('>I4dddd', stored) end
  local total = math.min(count, LENGTH_MEMORY) + sums[1]
  local kept = total - sums[1]
  ratio, output = (ratio * kept + sums[2]) / total, (output * kept + sums[3]) / total
  local forgets = 1 - (1 - LONG_FORGETS) ^ sums[1]
  long_ratio = math.max(sums[4], long_ratio - (long_ratio - ratio) * forgets)
  long_output = math.max(sums[5], long_output - (long_output - output) * forgets)
  redis.call('HSET', base .. 'lengths', name, struct.pack('>I4dddd',
    math.min(count + sums[1], 1e9), ratio, output, long_ratio, long_output))
end
for gate, state in pairs(states) do
  if state and state.changed then
    redis.call('HSET', base .. 'gate:' .. gate, 'streak', state.streak, 'fails', state.fails,
      'oks', state.oks, 'since', state.since)
  end
end
for channel, message in pairs(told) do redis.call('PUBLISH', channel, message) end
if woken then redis.call('PUBLISH', ARGV[1], '') end
return released
