-- Change a workspace's settings to those of the JSON object $2; what it does not name stays. In
-- `routing` and `providers` a null takes a name out. Periods of budgets end by the time zone from now
-- on; what was used in the present one goes on counting. Returns nothing when it is unknown.
with changed as (
    update penstock.llm_configs c
    set weight = case when $2::jsonb ? 'weight' then ($2::jsonb ->> 'weight')::real else weight end,
        default_token_budget = case when $2::jsonb ? 'monthly_tokens'
            then ($2::jsonb ->> 'monthly_tokens')::bigint else default_token_budget end,
        budget_mode = coalesce($2::jsonb ->> 'budget_mode', budget_mode),
        on_budget = coalesce($2::jsonb ->> 'on_budget', on_budget),
        retention_days = case when $2::jsonb ? 'retention_days' then ($2::jsonb ->> 'retention_days')::integer
                              else retention_days end,
        default_configuration = coalesce($2::jsonb ->> 'default_configuration', default_configuration),
        routing = jsonb_strip_nulls(routing || coalesce($2::jsonb -> 'routing', '{}')),
        providers = providers || coalesce($2::jsonb -> 'providers', '{}'),
        time_zone = coalesce($2::jsonb ->> 'time_zone', time_zone),
        tokens_used_this_month = case when budget_reset_at > now() then tokens_used_this_month else 0 end,
        budget_reset_at = case when $2::jsonb ? 'time_zone' or budget_reset_at <= now()
            then penstock.next_reset('month', coalesce($2::jsonb ->> 'time_zone', time_zone))
            else budget_reset_at end,
        updated_at = now()
    where workspace_id = $1
    returning workspace_id, time_zone
), ending as (
    update penstock.llm_configurations n
    set usd_today = case when day_resets_at > now() then usd_today else 0 end,
        usd_this_month = case when month_resets_at > now() then usd_this_month else 0 end,
        day_resets_at = penstock.next_reset('day', changed.time_zone),
        month_resets_at = penstock.next_reset('month', changed.time_zone)
    from changed
    where n.workspace_id = changed.workspace_id and $2::jsonb ? 'time_zone'
)
select workspace_id from changed
