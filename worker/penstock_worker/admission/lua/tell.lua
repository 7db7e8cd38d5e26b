-- Tell what budgets have left; see rooms.lua. Jobs that wait for one look again.
-- KEYS[1] epoch.  ARGV: wake channel, then for each budget: name, left, free, hard, waits, ms until
-- this lapses, number of prices, and for each: model, `in out`. Returns OK.
local at, woken = 2, false
while at <= #ARGV do
  local name = ARGV[at]
  local key, prices = base .. 'room:' .. name, tonumber(ARGV[at + 6])
  redis.call('HSET', key, 'left', ARGV[at + 1], 'free', ARGV[at + 2], 'hard', ARGV[at + 3], 'waits',
    ARGV[at + 4])
  for i = at + 7, at + 6 + 2 * prices, 2 do redis.call('HSET', key, 'p:' .. ARGV[i], ARGV[i + 1]) end
  redis.call('PEXPIRE', key, ARGV[at + 5])
  if tonumber(ARGV[at + 2]) > 0 then woken = look_again('room:' .. name) or woken end
  at = at + 7 + 2 * prices
end
if woken then redis.call('PUBLISH', ARGV[1], '') end
return redis.status_reply('OK')
