-- The token budget of workspace $1 and how it stands, with the month that it is for: by the clocks
-- of the workspace. Nothing when the workspace is unknown.
select default_token_budget as budget, tokens_held as held, budget_mode, on_budget, time_zone,
       case when budget_reset_at > now() then tokens_used_this_month else 0 end as used,
       case when budget_reset_at > now() then budget_reset_at
            else penstock.next_reset('month', time_zone) end as resets_at,
       date_trunc('month', now(), time_zone) as began_at
from penstock.llm_configs
where workspace_id = $1
