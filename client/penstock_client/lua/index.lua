-- Shared head of every script on a provider's index; each script is this file followed by its own.
--
-- KEYS[1] is <base>epoch; all other keys share its hash tag and are derived from <base>. Three
-- trees hold what is ready: <t> is `i` (interactive), `b` (bulk) or `z` (background).
--   <t>turns         zset  workspace -> pass        the workspaces that have something ready
--   <t>flows:<ws>    zset  flow -> pass             the ready flows of one workspace
--   q:<flow>         zset  entry -> place           the queued jobs of one flow
--   tags, ftags:<ws> zset  name -> pass             where an idle workspace or flow left off
--   ztags            zset                           the same of workspaces in the background
--   vt               hash  '', 'z', ws -> pass      virtual times
--   weights          hash  ws -> weight             where it is not 1
--   parked           zset  gate -> ms               gates that flows wait at, by when to look again
--   w:<gate>         zset  flow -> pass             the flows that wait at a gate
--   ww:<gate>        zset  workspace -> pass        their workspaces, by whose turn it is
--   wf:<ws>|<gate>   zset  flow -> pass             and the flows of each
--   at               hash  flow -> gate             where a flow waits
--   due              zset  entry place flow -> ms   jobs that wait for a time
--   leases           zset  id -> expiry in ms
--   held             hash  id -> record             see record_of
--   stopping         hash  id -> token              leases whose jobs have ended: calls to be stopped
--   lapsed           hash  id -> token              whose lease lapsed, until claimed again
--   seen             ms   the time of the last claim
--   pace:<minute>    int                            jobs claimed in that minute
--   seq              int                            places handed out so far
--   rules            hash  scope -> limits          see limits.lua
--   b:<bucket>       hash                           the state of one limit
--   shut             hash  gate -> ms               breakers and credentials that are not closed
--   gate:<gate>      hash                           the state of one of them
--   paused           hash  scope -> reason
--   lengths          hash  capability model -> what its calls really use
--   room:<budget>    hash                           what a budget has left, for a while; see rooms.lua
--
-- An entry is 28 bytes: job ID (16), input tokens (4), output tokens (4), placement version (2),
-- capability (2), big-endian; its tail is the last 12. A token is 8 bytes, a place 8 (a big-endian
-- double). A flow is `workspace|lane|tag|configuration|model`.

local base = string.sub(KEYS[1], 1, -6)
-- The configuration under which keys are tested: no budget and no other gate of theirs counts.
local KEY_CHECK = 'key-check'
local TREE = { ['0'] = 'i', ['1'] = 'b', ['2'] = 'z' }

local clock
local function now_ms()
  if not clock then
    local t = redis.call('TIME')
    clock = t[1] * 1000 + math.floor(t[2] / 1000)
  end
  return clock
end

-- Workspace, lane, tag, model, configuration.
local function parts_of(flow)
  local ws, lane, tag, configuration, model = string.match(flow, '^([^|]*)|(%d)|([^|]*)|([^|]*)|(.*)$')
  return ws, lane, tag, model, configuration
end

local function tags_of(tree)
  if tree == 'z' then return base .. 'ztags', base .. 'zftags:', 'z' end
  return base .. 'tags', base .. 'ftags:', ''
end

-- Interactive and bulk flows of a workspace share its pass, so its place in both trees is the same.
local SIBLING = { i = 'b', b = 'i' }

-- Enter a flow and its workspace into the turns at the later of the virtual time and where each
-- left off: who drains and comes back must not get ahead of who stayed. A parked flow stays parked.
local function make_ready(flow)
  local ws, lane = parts_of(flow)
  local tree = TREE[lane]
  local FLOWS, TURNS = base .. tree .. 'flows:' .. ws, base .. tree .. 'turns'
  local TAGS, FTAGS, clock_name = tags_of(tree)
  if not redis.call('ZSCORE', FLOWS, flow) then
    if redis.call('HEXISTS', base .. 'at', flow) == 1 then return end
    local time = tonumber(redis.call('HGET', base .. 'vt', clock_name .. ':' .. ws) or '0')
    local left = tonumber(redis.call('ZSCORE', FTAGS .. ws, flow) or '0')
    redis.call('ZADD', FLOWS, math.max(time, left), flow)
    redis.call('ZREM', FTAGS .. ws, flow)
  end
  if not redis.call('ZSCORE', TURNS, ws) then
    local sibling = SIBLING[tree] and redis.call('ZSCORE', base .. SIBLING[tree] .. 'turns', ws)
    if not sibling then
      local time = tonumber(redis.call('HGET', base .. 'vt', clock_name) or '0')
      sibling = math.max(time, tonumber(redis.call('ZSCORE', TAGS, ws) or '0'))
      redis.call('ZREM', TAGS, ws)
    end
    redis.call('ZADD', TURNS, sibling, ws)
  end
end

-- Take a flow out of the turns, keeping where it and its workspace leave off.
local function leave(flow, ws, tree, flow_pass, ws_pass)
  local FLOWS, TURNS = base .. tree .. 'flows:' .. ws, base .. tree .. 'turns'
  local TAGS, FTAGS = tags_of(tree)
  redis.call('ZREM', FLOWS, flow)
  redis.call('ZADD', FTAGS .. ws, flow_pass, flow)
  if redis.call('EXISTS', FLOWS) == 0 then
    redis.call('ZREM', TURNS, ws)
    local sibling = SIBLING[tree]
    if not (sibling and redis.call('ZSCORE', base .. sibling .. 'turns', ws)) then
      redis.call('ZADD', TAGS, ws_pass, ws)
    end
  end
end

-- Let a flow wait at a gate, outside the turns, until `wake` (ms) at the earliest.
local function park(flow, ws, tree, gate, wake, flow_pass, ws_pass)
  leave(flow, ws, tree, flow_pass, ws_pass)
  redis.call('HSET', base .. 'at', flow, gate)
  redis.call('ZADD', base .. 'w:' .. gate, ws_pass, flow)
  redis.call('ZADD', base .. 'ww:' .. gate, ws_pass, ws)
  redis.call('ZADD', base .. 'wf:' .. ws .. '|' .. gate, flow_pass, flow)
  redis.call('ZADD', base .. 'parked', wake, gate)
end

-- The pass that a workspace has now, wherever it stands.
local function pass_of(ws)
  for _, key in ipairs({ 'iturns', 'bturns', 'tags', 'zturns', 'ztags' }) do
    local pass = redis.call('ZSCORE', base .. key, ws)
    if pass then return tonumber(pass) end
  end
end

-- The workspace whose turn it is among those that wait at a gate, and its pass. Others of its flows
-- may have been served meanwhile: what it had when it came is raised to what it has now.
local function next_waiting(gate)
  for _ = 1, 16 do
    local head = redis.call('ZRANGE', base .. 'ww:' .. gate, 0, 0, 'WITHSCORES')
    if not head[1] then return nil end
    local pass = pass_of(head[1])
    if not pass or pass <= tonumber(head[2]) then return head[1], head[2] end
    redis.call('ZADD', base .. 'ww:' .. gate, pass, head[1])
  end
end

-- Let up to `most` flows that wait at a gate go on: one of each workspace in turn, then another.
-- Returns how many workspaces are left.
local function unpark(gate, most)
  local gone, again = 0, true
  while again and gone < most do
    local back = {}
    again = false
    while gone < most do
      local ws, pass = next_waiting(gate)
      if not ws then break end
      local FLOWS = base .. 'wf:' .. ws .. '|' .. gate
      local flow = redis.call('ZPOPMIN', FLOWS)[1]
      redis.call('ZREM', base .. 'ww:' .. gate, ws)
      if flow then
        redis.call('HDEL', base .. 'at', flow)
        redis.call('ZREM', base .. 'w:' .. gate, flow)
        if redis.call('EXISTS', base .. 'q:' .. flow) == 1 then
          make_ready(flow)
          gone = gone + 1
        end
        if redis.call('EXISTS', FLOWS) == 1 then
          back[#back + 1], back[#back + 2] = pass, ws
          again = true
        end
      end
    end
    if #back > 0 then redis.call('ZADD', base .. 'ww:' .. gate, unpack(back)) end
  end
  local left = redis.call('ZCARD', base .. 'ww:' .. gate)
  if left == 0 then redis.call('ZREM', base .. 'parked', gate) end
  return left
end

-- Queue one entry at its place. An entry that is queued already keeps the place it has.
local function enqueue(flow, entry, place)
  redis.call('ZADD', base .. 'q:' .. flow, 'NX', place, entry)
  make_ready(flow)
end

local function next_places(count)
  return redis.call('INCRBY', base .. 'seq', count) - count
end

-- Call a variadic command in pieces that fit on Lua's stack. `step` keeps pairs together.
local function in_pieces(command, key, args, step, option)
  local size = 1000 * step
  for first = 1, #args, size do
    local last = math.min(first + size - 1, #args)
    if option then
      redis.call(command, key, option, unpack(args, first, last))
    else
      redis.call(command, key, unpack(args, first, last))
    end
  end
end

-- A lease's record: who holds the job, what is needed to queue it again, the tokens it was charged
-- for, the breaker's epoch when it was claimed, and what it occupies until it is given back:
-- concurrency buckets (`b:...`) and probes of gates (`gate:...`).
local function record_of(token, tail, place, tokens_in, tokens_out, epoch, flow, occupied)
  return token .. tail .. struct.pack('>dI4I4d', place, tokens_in, tokens_out, epoch) .. flow
    .. (#occupied > 0 and '\0' .. table.concat(occupied, '\0') or '')
end

local function parse_record(record)
  local place, tokens_in, tokens_out, epoch = struct.unpack('>dI4I4d', record, 21)
  local flow, occupied = string.match(record, '^(%Z*)%z?(.*)$', 45)
  return {
    token = string.sub(record, 1, 8), tail = string.sub(record, 9, 20), place = place,
    tokens_in = tokens_in, tokens_out = tokens_out, epoch = epoch, flow = flow, occupied = occupied,
  }
end

-- Look again at once at a gate that flows wait at; whether any do.
local function look_again(gate)
  if not redis.call('ZSCORE', base .. 'parked', gate) then return false end
  redis.call('ZADD', base .. 'parked', now_ms(), gate)
  return true
end

-- Give back a lease and what it occupied. Every removal from `held` goes through here, and every
-- addition counts what it occupies in the same script, so nothing can leak. Returns whether flows
-- waited for what it occupied.
local any_stopping
local function drop_lease(id, record)
  local awaited = false
  redis.call('ZREM', base .. 'leases', id)
  redis.call('HDEL', base .. 'held', id)
  if any_stopping == nil then any_stopping = redis.call('EXISTS', base .. 'stopping') == 1 end
  if any_stopping then redis.call('HDEL', base .. 'stopping', id) end
  for name in string.gmatch(record.occupied, '%Z+') do
    redis.call('HINCRBY', base .. name, 'used', -1)
    for _, gate in ipairs({ name, name .. '|i', name .. '|b' }) do
      awaited = look_again(gate) or awaited
    end
  end
  return awaited
end
