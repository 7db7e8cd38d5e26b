-- Store a workspace's sealed key for a provider in place of what was there.
-- $1 workspace, $2 provider, $3 sealed, $4 what it is sealed to, $5 fingerprint, $6 whether it works
-- (null: not tested), $7 why not. No row where the sealing key was retired meanwhile.
insert into penstock.provider_keys (
    workspace_id, provider, sealed, sealed_to, fingerprint, works, problem, tested_at)
select $1, $2, $3, s.id, $5, $6::boolean, $7, case when $6 is not null then now() end
from penstock.sealing_keys s
where s.id = $4
on conflict (workspace_id, provider) do update set
    sealed = excluded.sealed, sealed_to = excluded.sealed_to, fingerprint = excluded.fingerprint,
    works = excluded.works, problem = excluded.problem, tested_at = excluded.tested_at,
    updated_at = now()
returning provider, fingerprint, works, problem, tested_at, updated_at
