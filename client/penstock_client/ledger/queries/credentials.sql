-- Whose credential each workspace uses at each provider where it is not the platform's; and which of
-- its configurations use the platform's all the same.
select k.workspace_id, k.provider, k.fingerprint, null as configuration
from penstock.provider_keys k
union all
select k.workspace_id, k.provider, 'platform', c.name
from penstock.llm_configurations c
join penstock.provider_keys k on k.workspace_id = c.workspace_id
where not c.own_keys
order by provider, workspace_id
