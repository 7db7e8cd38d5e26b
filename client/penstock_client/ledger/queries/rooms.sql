-- What budgets have left, in tokens or USD: left over, and free of reservations too.
-- $1 workspaces, $2 configurations of theirs, '' for a workspace's monthly tokens.
with asked as (
    select * from unnest($1::text[], $2::text[]) as t (workspace, configuration)
), found as (
    select asked.workspace, asked.configuration, w.budget_mode = 'hard' as hard,
           w.on_budget = 'wait' as waits,
           case asked.configuration
               when '' then w.default_token_budget
                   - case when w.budget_reset_at > now() then w.tokens_used_this_month else 0 end
               else least(
                   c.daily_usd - case when c.day_resets_at > now() then c.usd_today else 0 end,
                   c.monthly_usd
                       - case when c.month_resets_at > now() then c.usd_this_month else 0 end)
           end as left_over,
           case asked.configuration when '' then w.tokens_held else c.usd_held end as held
    from asked
    join penstock.llm_configs w on w.workspace_id = asked.workspace
    left join penstock.llm_configurations c
        on c.workspace_id = asked.workspace and c.name = asked.configuration
)
select workspace, configuration, hard, waits, left_over, left_over - held as free
from found
where left_over is not null
