-- Breakers and credentials that are not closed; stands between limits.lua and claim.lua.
--
-- `shut` maps a gate to the time (ms) from which it lets probes through; a gate that is not in it
-- is closed in the sense of a breaker: work flows. Gates: model:<m> (breaker), credential:<c>,
-- access:<c>/<m> (a credential that may not use a model). `gate:<gate>` keeps why and since when.
local PROBES = 3 -- calls at most that try a gate at the same time
local PROBE_LOOK_MS = 5000

local SHUT = {}
for at, value in ipairs(redis.call('HGETALL', base .. 'shut')) do
  SHUT[#SHUT + 1] = value
end
for at = 1, #SHUT, 2 do SHUT[SHUT[at]] = tonumber(SHUT[at + 1]) end
local ANY_SHUT = #SHUT > 0
local probes = {}

-- The gate that keeps a flow from starting and when to look again; or the gates that its next job
-- would probe, as a list that is empty when all is well.
local function gates_of(flow)
  if not ANY_SHUT then return nil, nil, {} end
  local ws, _, _, model, configuration = parts_of(flow)
  local cred = credential_of(ws, configuration)
  local probing = {}
  for _, gate in ipairs({ 'model:' .. model, 'credential:' .. cred, 'access:' .. cred .. '/' .. model }) do
    local from = SHUT[gate]
    if from then
      if from > now_ms() then return 'gate:' .. gate, from end
      probes[gate] = probes[gate] or tonumber(redis.call('HGET', base .. 'gate:' .. gate, 'used') or '0')
      local most = string.sub(gate, 1, 6) == 'model:' and PROBES or 1
      if probes[gate] >= most then return 'gate:' .. gate, now_ms() + PROBE_LOOK_MS end
      probing[#probing + 1] = gate
    end
  end
  return nil, nil, probing
end
