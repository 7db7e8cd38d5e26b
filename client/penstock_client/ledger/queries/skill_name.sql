-- Let the name $2 of workspace $1 stand for the kept declaration $3 from now on. Idempotent.
insert into penstock.skills (workspace, name, digest)
values ($1, $2, $3)
on conflict (workspace, name) do update
set digest = excluded.digest, updated_at = now()
where penstock.skills.digest <> excluded.digest
returning true
