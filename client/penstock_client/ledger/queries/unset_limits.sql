-- Lift the limits of a provider $1 in a scope $2; of the units $3 and windows in seconds $4 only,
-- where these are not null. Returns what was lifted.
delete from penstock.limits
where provider = $1 and scope = $2
  and ($3::text[] is null or unit = any ($3))
  and ($4::integer[] is null or window_s = any ($4))
returning provider, scope, unit, window_s, amount
