-- What a budget has left, as it was told a moment ago; stands between gates.lua and claim.lua.
--
-- `room:<budget>` is a hash that lapses by itself; without one nothing is held back here, and
-- Postgres decides, which has the last word in any case. Budgets: `<ws>` (tokens of the month),
-- `<ws>/<configuration>` (money, in nano-dollars).
--   left    units that are not used
--   free    units that are neither used nor reserved
--   hard    1 where calls reserve the most that they can use
--   waits   1 where jobs wait for room even when there will be none before the budget starts again
--   p:<model>   for money: the prices of a token in and of a token out
-- Whether the budgets of a flow have room is peeked for each job, and taken with it.
local rooms = {}

local function room_named(name)
  if rooms[name] == nil then
    local told = redis.call('HMGET', base .. 'room:' .. name, 'left', 'free', 'hard', 'waits')
    rooms[name] = told[1] and {
      name = name, left = tonumber(told[1]), free = tonumber(told[2]), hard = told[3] == '1',
      waits = told[4] == '1',
    } or false
  end
  return rooms[name]
end

local function rooms_of(flow)
  local ws, _, _, model, configuration = parts_of(flow)
  local out = {}
  if configuration == KEY_CHECK then return out end
  local tokens, money = room_named(ws), room_named(ws .. '/' .. configuration)
  if tokens then out[1] = { room = tokens, price_in = 1, price_out = 1 } end
  local prices = money and redis.call('HGET', base .. 'room:' .. money.name, 'p:' .. model)
  if prices then
    local price_in, price_out = string.match(prices, '(%d+) (%d+)')
    out[#out + 1] = { room = money, price_in = tonumber(price_in), price_out = tonumber(price_out) }
  end
  return out
end

-- The least that a job may reserve; as open_attempts.sql has it.
local function least_of(drawn, entry, most_out, long_in, long_out)
  local estimated = struct.unpack('>I4', entry, 17)
  local tokens_in, tokens_out = math.max(estimated, long_in or 0), long_out or most_out
  if drawn.room.hard then
    tokens_in = 4 * estimated + 64
    if long_out then tokens_out = math.min(most_out, math.floor(long_out * 5 / 4) + 16) end
  end
  return tokens_in * drawn.price_in + tokens_out * drawn.price_out
end

-- The gate of the budget that has no room for a job and when to look again; nil where all have.
-- What can find no room at all and may not wait for it goes through, to be refused by the ledger.
local function no_room(drawn_on, entry, most_out, long_in, long_out)
  for _, drawn in ipairs(drawn_on) do
    local room, cost = drawn.room, least_of(drawn, entry, most_out, long_in, long_out)
    if cost > room.free and (room.waits or cost <= room.left) then
      local lapses = redis.call('PTTL', base .. 'room:' .. room.name)
      return 'room:' .. room.name, now_ms() + math.max(10, lapses)
    end
  end
end

local function draw(drawn_on, entry, most_out, long_in, long_out)
  for _, drawn in ipairs(drawn_on) do
    local room, cost = drawn.room, least_of(drawn, entry, most_out, long_in, long_out)
    if cost <= room.free then
      room.free, room.changed = room.free - cost, true
    end
  end
end

local function write_rooms()
  for name, room in pairs(rooms) do
    if room and room.changed then
      redis.call('HSET', base .. 'room:' .. name, 'free', string.format('%.0f', room.free))
    end
  end
end
