-- Shared head of every script on a provider's index; each script is this file followed by its own.
--
-- KEYS[1] is <base>epoch; all other keys share its hash tag and are derived from <base>:
--   turns            zset  workspace -> pass        the workspaces that have something ready
--   flows:<ws>       zset  flow -> pass             the ready flows of one workspace
--   q:<flow>         zset  entry -> place           the ready jobs of one flow
--   tags, ftags:<ws> zset  name -> pass             where an idle workspace or flow left off
--   vt               hash  '' or ws -> pass         virtual times
--   due              zset  entry place flow -> ms   jobs that wait for a time
--   leases           zset  id -> expiry in ms
--   held             hash  id -> token tail place flow
--   lapsed           hash  id -> token              whose lease lapsed, until claimed again
--   seq              int                            places handed out so far
--
-- An entry is 26 bytes: job ID (16), input tokens (4), output tokens (4), placement version (2),
-- big-endian; its tail is the last 10. A token is 8 bytes, a place 8 (a big-endian double).
-- A flow is `workspace|lane|model`.

local base = string.sub(KEYS[1], 1, -6)

local function now_ms()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

local function workspace_of(flow)
  return string.match(flow, '^[^|]*')
end

-- Enter `name` into the turns at the later of the virtual time and where it left off: who drains
-- and comes back must not get ahead of who stayed.
local function enter(turns, tags, clock, name)
  if redis.call('ZSCORE', turns, name) then return end
  local time = tonumber(redis.call('HGET', base .. 'vt', clock) or '0')
  local left = tonumber(redis.call('ZSCORE', tags, name) or '0')
  redis.call('ZADD', turns, math.max(time, left), name)
  redis.call('ZREM', tags, name)
end

local function make_ready(flow)
  local ws = workspace_of(flow)
  enter(base .. 'flows:' .. ws, base .. 'ftags:' .. ws, ws, flow)
  enter(base .. 'turns', base .. 'tags', '', ws)
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

-- A lease's record: who holds the job, and what is needed to queue it again.
local function record_of(token, tail, place, flow)
  return token .. tail .. struct.pack('>d', place) .. flow
end

local function parse_record(record)
  return string.sub(record, 1, 8), string.sub(record, 9, 18),
    struct.unpack('>d', string.sub(record, 19, 26)), string.sub(record, 27)
end

local function drop_lease(id)
  redis.call('ZREM', base .. 'leases', id)
  redis.call('HDEL', base .. 'held', id)
end
