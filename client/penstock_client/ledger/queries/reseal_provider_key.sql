-- Put the same key, sealed anew, in place of what was read; not where it was changed meanwhile.
-- $1 workspace, $2 provider, $3 what was read, $4 the key sealed anew, $5 what it is sealed to.
update penstock.provider_keys
set sealed = $4, sealed_to = $5
where workspace_id = $1 and provider = $2 and sealed = $3
returning workspace_id
