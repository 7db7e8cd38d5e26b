-- Claim jobs in fair order and lease them to one worker; also takes back what lapsed or fell due.
-- KEYS[1] epoch.  ARGV: slots, token (8 bytes), lease in ms, entries to take back at most.
-- Returns {1, wait_ms, epoch, flows, then for each job: entry, lapsed token or '', flow index},
-- where wait_ms is the time until the next job falls due (-1: none waits); {0, state} while the
-- index is not open.
local WEIGHT = { ['0'] = 8, ['1'] = 2, ['2'] = 0.5 } -- a lane's share within its workspace

local epoch = redis.call('HMGET', KEYS[1], 'state', 'id')
if epoch[1] ~= 'open' then return { 0, epoch[1] or '' } end

local slots, token = tonumber(ARGV[1]), ARGV[2]
local lease_ms, most = tonumber(ARGV[3]), tonumber(ARGV[4])
local now = now_ms()
local TURNS, TAGS, VT = base .. 'turns', base .. 'tags', base .. 'vt'

-- Leases that lapsed: back to their place, with the token that whoever starts next must know.
for _, id in ipairs(redis.call('ZRANGEBYSCORE', base .. 'leases', '-inf', now, 'LIMIT', 0, most)) do
  local record = redis.call('HGET', base .. 'held', id)
  drop_lease(id)
  if record then
    local holder, tail, place, flow = parse_record(record)
    redis.call('HSET', base .. 'lapsed', id, holder)
    enqueue(flow, id .. tail, place)
  end
end

for _, item in ipairs(redis.call('ZRANGEBYSCORE', base .. 'due', '-inf', now, 'LIMIT', 0, most)) do
  redis.call('ZREM', base .. 'due', item)
  enqueue(string.sub(item, 35), string.sub(item, 1, 26), struct.unpack('>d', string.sub(item, 27, 34)))
end

local any_lapsed = redis.call('HLEN', base .. 'lapsed') > 0
local out, flows, flow_index = { 1, -1, epoch[2], {} }, {}, {}
local leased, records, seen_now = {}, {}, {}

local function lease(entry, place, flow)
  local id = string.sub(entry, 1, 16)
  if seen_now[id] or redis.call('HEXISTS', base .. 'held', id) == 1 then return false end
  seen_now[id] = true
  local lapsed = any_lapsed and redis.call('HGET', base .. 'lapsed', id) or ''
  if lapsed ~= '' then redis.call('HDEL', base .. 'lapsed', id) end
  leased[#leased + 1] = now + lease_ms
  leased[#leased + 1] = id
  records[#records + 1] = id
  records[#records + 1] = record_of(token, string.sub(entry, 17, 26), tonumber(place), flow)
  if not flow_index[flow] then
    flows[#flows + 1] = flow
    flow_index[flow] = #flows
  end
  out[#out + 1] = entry
  out[#out + 1] = lapsed or ''
  out[#out + 1] = flow_index[flow]
  return true
end

-- Serve the workspace whose turn it is, its flow whose turn it is, until another's turn comes.
local taken = 0
while taken < slots do
  local turns = redis.call('ZRANGE', TURNS, 0, 1, 'WITHSCORES')
  if not turns[1] then break end
  local ws, ws_pass, ws_limit = turns[1], tonumber(turns[2]), tonumber(turns[4] or 'inf')
  local FLOWS = base .. 'flows:' .. ws
  local ready = redis.call('ZRANGE', FLOWS, 0, 1, 'WITHSCORES')
  local flow = ready[1]
  if not flow then
    redis.call('ZREM', TURNS, ws)
  else
    local flow_pass, flow_limit = tonumber(ready[2]), tonumber(ready[4] or 'inf')
    local weight = WEIGHT[string.match(flow, '^[^|]*|(%d)')] or 1
    local QUEUE = base .. 'q:' .. flow
    local alone = ws_limit == math.huge and flow_limit == math.huge
    local peek = math.min(slots - taken, alone and 1000 or 8)
    local head = redis.call('ZRANGE', QUEUE, 0, peek - 1, 'WITHSCORES')
    local seen, ws_time, flow_time = 0, ws_pass, flow_pass
    for i = 1, #head, 2 do
      if ws_pass > ws_limit or flow_pass > flow_limit then break end
      seen = seen + 1
      if lease(head[i], head[i + 1], flow) then
        taken = taken + 1
        ws_time, flow_time = ws_pass, flow_pass
        local tokens_in, tokens_out = struct.unpack('>I4I4', head[i], 17)
        ws_pass = ws_pass + tokens_in + tokens_out
        flow_pass = flow_pass + (tokens_in + tokens_out) / weight
      end
    end
    -- The virtual time is where the last job that was served began.
    redis.call('HSET', VT, '', ws_time, ws, flow_time)
    if seen > 0 then redis.call('ZREMRANGEBYRANK', QUEUE, 0, seen - 1) end
    if redis.call('EXISTS', QUEUE) == 1 then
      redis.call('ZADD', FLOWS, flow_pass, flow)
    else
      redis.call('ZREM', FLOWS, flow)
      redis.call('ZADD', base .. 'ftags:' .. ws, flow_pass, flow)
    end
    if redis.call('EXISTS', FLOWS) == 1 then
      redis.call('ZADD', TURNS, ws_pass, ws)
    else
      redis.call('ZREM', TURNS, ws)
      redis.call('ZADD', TAGS, ws_pass, ws)
    end
    -- Tags that the virtual time has passed say nothing any more.
    redis.call('ZREMRANGEBYSCORE', base .. 'ftags:' .. ws, '-inf', '(' .. flow_pass)
    redis.call('ZREMRANGEBYSCORE', TAGS, '-inf', '(' .. ws_pass)
  end
end

if taken > 0 then
  in_pieces('ZADD', base .. 'leases', leased, 2)
  in_pieces('HSET', base .. 'held', records, 2)
end
local next_due = redis.call('ZRANGE', base .. 'due', 0, 0, 'WITHSCORES')
if next_due[1] then out[2] = math.max(0, tonumber(next_due[2]) - now) end
out[4] = flows
return out
