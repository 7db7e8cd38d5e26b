-- Workspaces with everything that is configured of them: the one named $1, or those after the name
-- $2, at most $3 of them.
select w.id, w.created_at, c.routing, c.providers, c.default_token_budget, c.tokens_held,
       case when c.budget_reset_at > now() then c.tokens_used_this_month else 0 end as tokens_used,
       case when c.budget_reset_at > now() then c.budget_reset_at
            else penstock.next_reset('month', c.time_zone) end as budget_reset_at,
       c.weight::text::float8 as weight, c.time_zone, c.budget_mode, c.on_budget, c.retention_days,
       c.default_configuration, named.configurations::text, keys.own_keys::text
from penstock.workspaces w
join penstock.llm_configs c on c.workspace_id = w.id
cross join lateral (
    select json_agg(json_build_object(
        'name', n.name, 'primary', n.primary_model, 'fallback', n.fallback_model,
        'task_routing', n.task_routing, 'own_keys', n.own_keys, 'temperature', n.temperature,
        'max_tokens', n.max_tokens, 'daily_usd', n.daily_usd::text,
        'monthly_usd', n.monthly_usd::text, 'allow_unpriced', n.allow_unpriced,
        'usd_today', (case when n.day_resets_at > now() then n.usd_today else 0 end)::text,
        'usd_this_month',
        (case when n.month_resets_at > now() then n.usd_this_month else 0 end)::text,
        'usd_held', n.usd_held::text,
        'day_resets_at', case when n.day_resets_at > now() then n.day_resets_at
                              else penstock.next_reset('day', c.time_zone) end,
        'month_resets_at', case when n.month_resets_at > now() then n.month_resets_at
                                else penstock.next_reset('month', c.time_zone) end
        ) order by n.name) as configurations
    from penstock.llm_configurations n
    where n.workspace_id = w.id
) named
cross join lateral (
    select json_object_agg(k.provider, k.fingerprint order by k.provider) as own_keys
    from penstock.provider_keys k
    where k.workspace_id = w.id
) keys
where w.id = $1 or $1::text is null and ($2::text is null or w.id > $2)
order by w.id
limit $3
