-- The tokens of the workspace $1, of none where it is null, or with $2 all of them; oldest first.
select id, workspace_id, name, scopes, created_at, expires_at, revoked_at, last_used_at
from penstock.api_tokens
where $2 or workspace_id is not distinct from $1
order by created_at, id
limit 10000
