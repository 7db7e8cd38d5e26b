-- Store a workspace's sealed webhook secret. $1 workspace, $2 ID, $3 sealed, $4 what it is sealed to,
-- $5 whether it takes the place of another, $6 for how many seconds that one goes on being signed
-- with; one that was about to expire already does so now. No row where the workspace has a secret and
-- $5 is false, or where the sealing key was retired meanwhile.
with standing as (
    select id from penstock.webhook_secrets
    where workspace = $1 and expires_at is null and id <> $2
), gone as (
    delete from penstock.webhook_secrets
    where workspace = $1 and expires_at is not null and ($5 or expires_at <= now())
), older as (
    update penstock.webhook_secrets set expires_at = now() + make_interval(secs => $6)
    where workspace = $1 and expires_at is null and $5 and id <> $2
)
insert into penstock.webhook_secrets (workspace, id, sealed, sealed_to)
select $1, $2, $3, s.id
from penstock.sealing_keys s
where s.id = $4 and ($5 or not exists (select from standing))
on conflict (workspace, id) do update set sealed = excluded.sealed
returning id, created_at, expires_at, problem
