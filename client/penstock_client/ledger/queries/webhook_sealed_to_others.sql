-- A page of webhook secrets that are not sealed to the sealing key $1, behind workspace $2 and ID $3.
select workspace, id, sealed
from penstock.webhook_secrets
where sealed_to <> $1 and (workspace, id) > ($2, $3)
order by workspace, id
limit $4
