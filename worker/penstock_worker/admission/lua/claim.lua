-- Claim jobs in fair order and lease them to one worker; also takes back what lapsed or fell due.
-- A job leaves its queue only when no pause, breaker or limit keeps it; flows that something keeps
-- wait at its gate, out of the turns, and are looked at again when it may have opened.
-- KEYS[1] epoch.  ARGV: slots, token (8 bytes), lease in ms, entries to take back at most, slots
-- for work that is not interactive.
-- Returns {1, wait_ms, epoch, flows, then for each job: entry, lapsed token or '', flow index, and
-- 8 bytes of tokens in and out that it is likely to use at most, or ''},
-- where wait_ms is the time until there may be more to claim (-1: not before something happens);
-- {0, state} while the index is not open.
local WEIGHT = { ['0'] = 8, ['1'] = 2, ['2'] = 1 } -- a lane's share within its workspace
local VISITS = 200                                 -- flows looked at in one claim at most
local WAKES = 50                                   -- gates looked at

local epoch = redis.call('HMGET', KEYS[1], 'state', 'id')
if epoch[1] ~= 'open' then return { 0, epoch[1] or '' } end

local slots, token = tonumber(ARGV[1]), ARGV[2]
local lease_ms, most, other_slots = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local now = now_ms()
local VT = base .. 'vt'

-- A server's clock that was set back takes all that waits for a time with it.
local last = tonumber(redis.call('GET', base .. 'seen') or now)
if now < last - 1000 then
  for _, gate in ipairs(redis.call('ZRANGE', base .. 'parked', 0, -1)) do look_again(gate) end
  for _, key in ipairs({ 'due', 'leases' }) do
    local members = redis.call('ZRANGE', base .. key, 0, -1)
    for _, member in ipairs(members) do redis.call('ZINCRBY', base .. key, now - last, member) end
  end
  local gates = redis.call('HGETALL', base .. 'shut')
  for i = 1, #gates, 2 do redis.call('HSET', base .. 'shut', gates[i], gates[i + 1] + now - last) end
end
redis.call('SET', base .. 'seen', now)

-- Leases that lapsed: back to their place, with the token that whoever starts next must know.
for _, id in ipairs(redis.call('ZRANGEBYSCORE', base .. 'leases', '-inf', now, 'LIMIT', 0, most)) do
  local stored = redis.call('HGET', base .. 'held', id)
  if stored then
    local record = parse_record(stored)
    drop_lease(id, record)
    redis.call('HSET', base .. 'lapsed', id, record.token)
    enqueue(record.flow, id .. record.tail, record.place)
  else
    redis.call('ZREM', base .. 'leases', id)
  end
end

for _, item in ipairs(redis.call('ZRANGEBYSCORE', base .. 'due', '-inf', now, 'LIMIT', 0, most)) do
  redis.call('ZREM', base .. 'due', item)
  enqueue(string.sub(item, 37), string.sub(item, 1, 28), struct.unpack('>d', string.sub(item, 29, 36)))
end

local woken = redis.call('ZRANGEBYSCORE', base .. 'parked', '-inf', now, 'LIMIT', 0, WAKES)
for _, gate in ipairs(woken) do
  -- Those left look again soon, unless one of these tells when.
  if unpark(gate, room_at(gate, math.max(8, 2 * slots))) > 0 then redis.call('ZADD', base .. 'parked', now + 20, gate) end
end

local any_lapsed = redis.call('HLEN', base .. 'lapsed') > 0
local paused
if redis.call('EXISTS', base .. 'paused') == 1 then
  paused = {}
  local fields = redis.call('HKEYS', base .. 'paused')
  for _, scope in ipairs(fields) do paused[scope] = true end
end
local out, flows, flow_index = { 1, -1, epoch[2], {} }, {}, {}
local leased, records, seen_now = {}, {}, {}
local gate_epochs, weights = {}, {}

local function weight_of(ws)
  weights[ws] = weights[ws] or tonumber(redis.call('HGET', base .. 'weights', ws) or '1')
  return weights[ws]
end

local function pause_of(flow)
  if not paused then return nil end
  local ws, lane, tag, model = parts_of(flow)
  for _, scope in ipairs({ 'provider', 'lane:' .. lane, 'workspace:' .. ws, 'model:' .. model, 'tag:' .. tag }) do
    if paused[scope] then return 'pause:' .. scope end
  end
end

local function gate_epoch(model)
  gate_epochs[model] = gate_epochs[model]
    or tonumber(redis.call('HGET', base .. 'gate:model:' .. model, 'epoch') or '0')
  return gate_epochs[model]
end

-- The bucket that keeps a job, as a gate and when to look again; nil where all admit it.
local function kept_by(buckets, tokens_in, tokens_out, most_out, interactive)
  local gate, at
  for _, bucket in ipairs(buckets) do
    local free_at = admits_at(bucket, cost_of(bucket, tokens_in, tokens_out, most_out), interactive)
    if free_at and (not at or free_at > at) then
      gate, at = 'b:' .. bucket.name .. (interactive and '|i' or '|b'), free_at
    end
  end
  return gate, at
end

local function lease(entry, place, flow, model, tokens_in, tokens_out, occupied, long_in, long_out)
  local id = string.sub(entry, 1, 16)
  local lapsed = any_lapsed and redis.call('HGET', base .. 'lapsed', id) or ''
  if lapsed ~= '' then redis.call('HDEL', base .. 'lapsed', id) end
  leased[#leased + 1] = now + lease_ms
  leased[#leased + 1] = id
  records[#records + 1] = id
  records[#records + 1] = record_of(token, string.sub(entry, 17, 28), tonumber(place), tokens_in,
    tokens_out, gate_epoch(model), flow, occupied)
  if not flow_index[flow] then
    flows[#flows + 1] = flow
    flow_index[flow] = #flows
  end
  out[#out + 1] = entry
  out[#out + 1] = lapsed or ''
  out[#out + 1] = flow_index[flow]
  out[#out + 1] = long_in and struct.pack('>I4I4', long_in, long_out) or ''
end

-- The head of a tree: workspace, its pass, the pass of the next workspace.
local function head_of(tree)
  local turns = redis.call('ZRANGE', base .. tree .. 'turns', 0, 1, 'WITHSCORES')
  if turns[1] then return turns[1], tonumber(turns[2]), turns[3], tonumber(turns[4] or 'inf') end
end

local function flow_of(tree, ws)
  local ready = redis.call('ZRANGE', base .. tree .. 'flows:' .. ws, 0, 1, 'WITHSCORES')
  return ready[1], tonumber(ready[2] or 'inf'), tonumber(ready[4] or 'inf')
end

-- Whose turn it is: tree, workspace, its pass, the pass at which another workspace's turn comes,
-- flow, its pass, and the pass at which another of its flows' turn comes.
local function turn(others_may)
  local ws_i, pass_i, next_i, next_pass_i = head_of('i')
  local ws_b, pass_b, next_b, next_pass_b
  if others_may then ws_b, pass_b, next_b, next_pass_b = head_of('b') end
  local tree, ws, pass, limit = 'i', ws_i, pass_i, next_pass_i
  if ws_b and (not ws_i or pass_b < pass_i) then tree, ws, pass, limit = 'b', ws_b, pass_b, next_pass_b end
  if not ws then
    if not others_may then return nil end
    ws, pass, next_i, limit = head_of('z')
    if not ws then return nil end
    local flow, flow_pass, flow_limit = flow_of('z', ws)
    return 'z', ws, pass, limit, flow, flow_pass, flow_limit
  end
  local flow, flow_pass, flow_limit = flow_of(tree, ws)
  if ws_i and ws_b then
    if tree == 'i' and ws_b ~= ws then limit = math.min(limit, pass_b) end
    if tree == 'i' and ws_b == ws then limit = math.min(limit, next_pass_b) end
    if tree == 'b' and ws_i ~= ws then limit = math.min(limit, pass_i) end
    if ws_i == ws_b then
      local other = tree == 'i' and 'b' or 'i'
      local flow_o, flow_pass_o, flow_limit_o = flow_of(other, ws)
      if flow_o and flow_pass_o < flow_pass then
        return other, ws, pass, limit, flow_o, flow_pass_o, math.min(flow_limit_o, flow_pass)
      end
      flow_limit = math.min(flow_limit, flow_pass_o)
    end
  end
  return tree, ws, pass, limit, flow, flow_pass, flow_limit
end

local taken, others, visits = 0, 0, 0

-- Serve a flow until another's turn comes or something keeps its next job.
local function serve(tree, ws, ws_pass, ws_limit, flow, flow_pass, flow_limit)
  local _, lane, _, model = parts_of(flow)
  local QUEUE = base .. 'q:' .. flow
  local TAGS, FTAGS, clock_name = tags_of(tree)
  local interactive = tree == 'i'
  local gate, wake, probing = pause_of(flow), math.huge, nil
  if not gate then gate, wake, probing = gates_of(flow) end
  local seen, ws_time, flow_time = 0, ws_pass, flow_pass
  if not gate then
    local buckets, budgets = buckets_of(flow), rooms_of(flow)
    local room = slots - taken
    if not interactive then room = math.min(room, other_slots - others) end
    local alone = ws_limit == math.huge and flow_limit == math.huge
    local peek = math.min(room, (alone and #buckets == 0 and #budgets == 0 and #probing == 0) and 1000 or 8)
    local weight, ws_weight = WEIGHT[lane] or 1, weight_of(ws)
    local head = redis.call('ZRANGE', QUEUE, 0, peek - 1, 'WITHSCORES')
    for i = 1, #head, 2 do
      local entry = head[i]
      if ws_pass > ws_limit or flow_pass > flow_limit then break end
      local id = string.sub(entry, 1, 16)
      if seen_now[id] or redis.call('HEXISTS', base .. 'held', id) == 1 then
        seen = seen + 1
      else
        local tokens_in, tokens_out, most_out, long_in, long_out = expected(entry, model)
        gate, wake = kept_by(buckets, tokens_in, tokens_out, most_out, interactive)
        if not gate then gate, wake = no_room(budgets, entry, most_out, long_in, long_out) end
        if gate then break end
        draw(budgets, entry, most_out, long_in, long_out)
        seen, seen_now[id] = seen + 1, true
        local occupied = {}
        for _, bucket in ipairs(buckets) do
          take(bucket, cost_of(bucket, tokens_in, tokens_out, most_out), interactive)
          if bucket.window == 0 then occupied[#occupied + 1] = 'b:' .. bucket.name end
        end
        for _, probed in ipairs(probing) do
          probes[probed] = redis.call('HINCRBY', base .. 'gate:' .. probed, 'used', 1)
          occupied[#occupied + 1] = 'gate:' .. probed
        end
        lease(entry, head[i + 1], flow, model, tokens_in, tokens_out, occupied,
          long_in, long_out)
        taken = taken + 1
        if not interactive then others = others + 1 end
        ws_time, flow_time = ws_pass, flow_pass
        ws_pass = ws_pass + (tokens_in + tokens_out) / ws_weight
        flow_pass = flow_pass + (tokens_in + tokens_out) / weight
        if #probing > 0 then break end -- one at a time through a gate that is being tried
      end
    end
  end
  if seen > 0 then
    -- The virtual time is where the last job that was served began.
    redis.call('HSET', VT, clock_name, ws_time, clock_name .. ':' .. ws, flow_time)
    redis.call('ZREMRANGEBYRANK', QUEUE, 0, seen - 1)
    redis.call('ZADD', base .. tree .. 'turns', 'XX', ws_pass, ws)
    if SIBLING[tree] then redis.call('ZADD', base .. SIBLING[tree] .. 'turns', 'XX', ws_pass, ws) end
    -- Tags that the virtual time has passed say nothing any more.
    redis.call('ZREMRANGEBYSCORE', FTAGS .. ws, '-inf', '(' .. flow_time)
    redis.call('ZREMRANGEBYSCORE', TAGS, '-inf', '(' .. ws_time)
  end
  if gate then
    park(flow, ws, tree, gate, wake == math.huge and '+inf' or wake, flow_pass, ws_pass)
  elseif redis.call('EXISTS', QUEUE) == 1 then
    redis.call('ZADD', base .. tree .. 'flows:' .. ws, flow_pass, flow)
  else
    leave(flow, ws, tree, flow_pass, ws_pass)
  end
end

while taken < slots and visits < VISITS do
  local tree, ws, ws_pass, ws_limit, flow, flow_pass, flow_limit = turn(others < other_slots)
  if not tree then break end
  visits = visits + 1
  if flow then
    serve(tree, ws, ws_pass, ws_limit, flow, flow_pass, flow_limit)
  else
    redis.call('ZREM', base .. tree .. 'turns', ws)
  end
end

if taken > 0 then
  in_pieces('ZADD', base .. 'leases', leased, 2)
  in_pieces('HSET', base .. 'held', records, 2)
  local PACE = base .. 'pace:' .. math.floor(now / 60000)
  if redis.call('INCRBY', PACE, taken) == taken then redis.call('EXPIRE', PACE, 180) end
end
write_buckets()
write_rooms()

-- When there may be more: the next job that falls due, the next gate that may open.
local wake_at = math.huge
for _, key in ipairs({ 'due', 'parked' }) do
  local first = redis.call('ZRANGE', base .. key, 0, 0, 'WITHSCORES')
  if first[1] then wake_at = math.min(wake_at, tonumber(first[2])) end
end
if visits == VISITS then wake_at = now end
if wake_at < math.huge then out[2] = math.max(0, math.ceil(wake_at - now)) end
out[4] = flows
return out
