-- The keys of the workspace $1.
select provider, fingerprint, works, problem, tested_at, updated_at
from penstock.provider_keys
where workspace_id = $1
order by provider
