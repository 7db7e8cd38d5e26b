-- Note what a test said of a key, unless another key is there by now.
-- $1 workspace, $2 provider, $3 fingerprint, $4 whether it works, $5 why not.
update penstock.provider_keys
set works = $4, problem = $5, tested_at = now()
where workspace_id = $1 and provider = $2 and fingerprint = $3
returning provider, fingerprint, works, problem, tested_at, updated_at
