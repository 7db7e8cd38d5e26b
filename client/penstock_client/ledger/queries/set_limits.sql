-- Set limits, each in place of what was set for the same provider, scope, unit and window.
-- $1 providers, $2 scopes, $3 units, $4 windows in seconds, $5 amounts. Safe to repeat.
insert into penstock.limits (provider, scope, unit, window_s, amount)
select * from unnest($1::text[], $2::text[], $3::text[], $4::integer[], $5::bigint[])
on conflict (provider, scope, unit, window_s)
do update set amount = excluded.amount, updated_at = now()
