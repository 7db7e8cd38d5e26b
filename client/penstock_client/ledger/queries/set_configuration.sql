-- Make the configuration $2 of the workspace $1 with what the JSON object $3 says, or change what it
-- names of one that exists. In `task_routing` a null takes a task type out. $4 is a JSON object that
-- is laid under $3 for a new one. Returns nothing when the workspace is unknown.
insert into penstock.llm_configurations as n (
    workspace_id, name, primary_model, fallback_model, task_routing, own_keys, temperature,
    max_tokens, daily_usd, monthly_usd, allow_unpriced, day_resets_at, month_resets_at)
select c.workspace_id, $2, made.fields ->> 'primary', made.fields ->> 'fallback',
       jsonb_strip_nulls(coalesce(made.fields -> 'task_routing', '{}')),
       coalesce((made.fields ->> 'own_keys')::boolean, true),
       (made.fields ->> 'temperature')::real, (made.fields ->> 'max_tokens')::integer,
       (made.fields ->> 'daily_usd')::numeric, (made.fields ->> 'monthly_usd')::numeric,
       coalesce((made.fields ->> 'allow_unpriced')::boolean, false),
       penstock.next_reset('day', c.time_zone), penstock.next_reset('month', c.time_zone)
from penstock.llm_configs c
cross join (select $4::jsonb || $3::jsonb as fields) made
where c.workspace_id = $1
on conflict (workspace_id, name) do update set
    primary_model = case when $3::jsonb ? 'primary' then excluded.primary_model
                         else n.primary_model end,
    fallback_model = case when $3::jsonb ? 'fallback' then excluded.fallback_model
                          else n.fallback_model end,
    task_routing = jsonb_strip_nulls(n.task_routing || coalesce($3::jsonb -> 'task_routing', '{}')),
    own_keys = case when $3::jsonb ? 'own_keys' then excluded.own_keys else n.own_keys end,
    temperature = case when $3::jsonb ? 'temperature' then excluded.temperature
                       else n.temperature end,
    max_tokens = case when $3::jsonb ? 'max_tokens' then excluded.max_tokens else n.max_tokens end,
    daily_usd = case when $3::jsonb ? 'daily_usd' then excluded.daily_usd else n.daily_usd end,
    monthly_usd = case when $3::jsonb ? 'monthly_usd' then excluded.monthly_usd
                       else n.monthly_usd end,
    allow_unpriced = case when $3::jsonb ? 'allow_unpriced' then excluded.allow_unpriced
                          else n.allow_unpriced end,
    updated_at = now()
returning n.name
