-- What is stored of one key, for its test. $1 workspace, $2 provider.
select sealed, fingerprint
from penstock.provider_keys
where workspace_id = $1 and provider = $2
