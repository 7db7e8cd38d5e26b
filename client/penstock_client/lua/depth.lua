-- How many jobs wait in a page of flows, by lane, and since when the oldest of them. Only reads.
-- KEYS[1] epoch.  ARGV: `turns` or `gate`, its tree (i, b, z) or gate, first, last place of the page.
-- A page of turns has a place for each workspace, with up to 500 of its flows; one of a gate has a
-- place for each flow. Returns jobs of lane 0, 1, 2; ms at which the oldest head of a queue was
-- submitted in lane 0, 1, 2 (0: none); 1 when a workspace has more flows than were counted.
local FLOWS = 500
local jobs, oldest = { ['0'] = 0, ['1'] = 0, ['2'] = 0 }, { ['0'] = 0, ['1'] = 0, ['2'] = 0 }
local more = 0

local function count(flow)
  local _, lane = parts_of(flow)
  local head = lane and redis.call('ZRANGE', base .. 'q:' .. flow, 0, 0)[1]
  if not head then return end
  jobs[lane] = jobs[lane] + redis.call('ZCARD', base .. 'q:' .. flow)
  local high, low = struct.unpack('>I4I2', head) -- a job ID begins with the ms of its submit
  local ms = high * 65536 + low
  if oldest[lane] == 0 or ms < oldest[lane] then oldest[lane] = ms end
end

if ARGV[1] == 'turns' then
  for _, ws in ipairs(redis.call('ZRANGE', base .. ARGV[2] .. 'turns', ARGV[3], ARGV[4])) do
    local flows = redis.call('ZRANGE', base .. ARGV[2] .. 'flows:' .. ws, 0, FLOWS)
    if #flows > FLOWS then more = 1 end
    for _, flow in ipairs(flows) do count(flow) end
  end
else
  for _, flow in ipairs(redis.call('ZRANGE', base .. 'w:' .. ARGV[2], ARGV[3], ARGV[4])) do
    count(flow)
  end
end
return { jobs['0'], jobs['1'], jobs['2'], oldest['0'], oldest['1'], oldest['2'], more }
