-- The secrets that deliveries of workspace $1 are signed with, the newest first.
select id, created_at, expires_at, problem
from penstock.webhook_secrets
where workspace = $1 and (expires_at is null or expires_at > now())
order by created_at desc, id
