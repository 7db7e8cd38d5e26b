-- The token $1 while it is in force. Notes that it was used, once a minute at most and by who knows
-- the secret that hashes to $2.
with used as (
    update penstock.api_tokens
    set last_used_at = now()
    where id = $1 and hash = $2
      and revoked_at is null and (expires_at is null or expires_at > now())
      and (last_used_at is null or last_used_at < now() - interval '1 minute')
)
select id, workspace_id, name, hash, scopes
from penstock.api_tokens
where id = $1 and revoked_at is null and (expires_at is null or expires_at > now())
