-- A page of keys that are not sealed to the sealing key $1, behind workspace $2 and provider $3.
select workspace_id, provider, sealed
from penstock.provider_keys
where sealed_to <> $1 and (workspace_id, provider) > ($2, $3)
order by workspace_id, provider
limit $4
