-- Record a token by the hash $4 of its secret; returns nothing when there is no workspace $2.
insert into penstock.api_tokens (id, workspace_id, name, hash, scopes, expires_at)
select $1, $2, $3, $4, $5::text[], $6
where $2::text is null or exists (select from penstock.workspaces where id = $2)
returning id, workspace_id, name, scopes, created_at, expires_at, revoked_at, last_used_at
