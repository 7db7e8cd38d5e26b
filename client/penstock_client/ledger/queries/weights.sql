-- The workspaces whose weight is not the usual one.
select workspace_id, weight::text::float8 as weight
from penstock.llm_configs
where weight <> 1
