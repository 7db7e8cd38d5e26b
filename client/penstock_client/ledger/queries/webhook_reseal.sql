-- Put the same secret, sealed anew, in place of what was read; not where it was changed meanwhile.
-- $1 workspace, $2 ID, $3 what was read, $4 the secret sealed anew, $5 what it is sealed to.
update penstock.webhook_secrets
set sealed = $4, sealed_to = $5
where workspace = $1 and id = $2 and sealed = $3
returning id
