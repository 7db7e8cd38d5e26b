-- Note problem $1 at the secrets of workspaces whose deliveries have been due for half a minute.
update penstock.webhook_secrets s set problem = $1
where s.problem is distinct from $1
  and exists (
    select from penstock.deliveries d
    where d.workspace = s.workspace and d.next_at < now() - interval '30 seconds')
