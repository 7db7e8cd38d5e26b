-- The money budgets of workspace $1, by configuration, and what is used and held of them now.
select name as configuration, daily_usd, monthly_usd, usd_held as held_usd,
       case when day_resets_at > now() then usd_today else 0 end as used_today_usd,
       case when month_resets_at > now() then usd_this_month else 0 end as used_this_month_usd
from penstock.llm_configurations
where workspace_id = $1 and (daily_usd is not null or monthly_usd is not null)
order by name
