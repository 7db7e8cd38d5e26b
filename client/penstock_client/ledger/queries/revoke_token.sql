-- End the token $1, with $2 only one of that workspace; returns it, the second time too.
update penstock.api_tokens
set revoked_at = coalesce(revoked_at, now())
where id = $1 and ($2::text is null or workspace_id = $2)
returning id, workspace_id, name, scopes, created_at, expires_at, revoked_at, last_used_at
