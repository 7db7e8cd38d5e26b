-- The workspaces and hosts that have deliveries due and a secret to sign them with, as far as $1 of
-- them, from behind ($2, $3) on; steps from one to the next along the index.
with recursive flows as (
    (select workspace, host, next_at, 1 as step from penstock.deliveries
     where next_at is not null and (workspace, host) > ($2::text, $3::text)
       and exists (select from penstock.deliveries where next_at <= now())
     order by workspace, host, next_at limit 1)
    union all
    select n.workspace, n.host, n.next_at, f.step + 1
    from flows f
    cross join lateral (
        select workspace, host, next_at from penstock.deliveries
        where next_at is not null and (workspace, host) > (f.workspace, f.host)
        order by workspace, host, next_at limit 1) n
    where f.step < $1::integer
)
select f.workspace, f.host, f.next_at <= now() and exists (
    select from penstock.webhook_secrets s
    where s.workspace = f.workspace and (s.expires_at is null or s.expires_at > now())) as due
from flows f
