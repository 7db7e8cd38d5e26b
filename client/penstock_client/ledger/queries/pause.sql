-- Pause a scope $2 at a provider $1 for a reason $3. What is paused already takes the new reason and
-- keeps since when. Safe to repeat.
insert into penstock.pauses (provider, scope, reason) values ($1, $2, $3)
on conflict (provider, scope) do update set reason = excluded.reason
