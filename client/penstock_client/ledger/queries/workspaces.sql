-- Workspaces with their configuration; all of them, or the one named $1.
select w.id, w.created_at, c.routing, c.default_token_budget,
       case when c.budget_reset_at > now() then c.tokens_used_this_month else 0 end as tokens_used,
       c.budget_reset_at, c.weight::text::float8 as weight
from penstock.workspaces w
join penstock.llm_configs c on c.workspace_id = w.id
where $1::text is null or w.id = $1
order by w.id
