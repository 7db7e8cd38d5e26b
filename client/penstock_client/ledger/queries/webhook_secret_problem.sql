-- Note why the secrets of workspace $1 cannot be used ($2), or that they can be (null).
update penstock.webhook_secrets set problem = $2
where workspace = $1 and problem is distinct from $2
