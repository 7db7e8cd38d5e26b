-- Workspaces in full: named configurations, budgets, sealed keys, API tokens, retention, and usage
-- by the hour.

-- The next midnight, or first of a month, by the clocks of a time zone.
create function penstock.next_reset(period text, zone text) returns timestamptz
language sql stable
return (date_trunc(period, now() at time zone zone) + ('1 ' || period)::interval) at time zone zone;

alter table penstock.llm_configs
    add column time_zone              text not null default 'UTC', -- by which days and months end
    add column tokens_held            bigint not null default 0,   -- reserved by calls under way
    -- hard: a call reserves the most it may use; soft: what such calls mostly use at most.
    add column budget_mode            text not null default 'soft'
        check (budget_mode in ('soft', 'hard')),
    -- What becomes of jobs once a budget is used up.
    add column on_budget              text not null default 'fail'
        check (on_budget in ('fail', 'wait')),
    -- Prompts and answers are dropped so many days after the job has ended; null keeps them, 0
    -- stores nothing for longer than it takes to fetch an answer.
    add column retention_days         integer check (retention_days between 0 and 3650),
    add column default_configuration  text not null default 'default';

-- Named configurations; the default one is what llm_configs.default_configuration names.
create table penstock.llm_configurations (
    id               uuid primary key default gen_random_uuid(),
    workspace_id     text not null references penstock.workspaces (id),
    name             text not null,
    primary_model    text,                          -- provider/model; null: the workspace's routing
    fallback_model   text,
    task_routing     jsonb not null default '{}',   -- task type -> provider/model
    own_keys         boolean not null default true, -- false: always the platform's keys
    temperature      real check (temperature between 0 and 2),
    max_tokens       integer check (max_tokens > 0),
    daily_usd        numeric check (daily_usd >= 0),   -- null is unlimited
    monthly_usd      numeric check (monthly_usd >= 0),
    allow_unpriced   boolean not null default false, -- models without a known price, under a budget
    usd_today        numeric not null default 0,
    usd_this_month   numeric not null default 0,
    usd_held         numeric not null default 0,
    day_resets_at    timestamptz not null default penstock.next_reset('day', 'UTC'),
    month_resets_at  timestamptz not null default penstock.next_reset('month', 'UTC'),
    created_at       timestamptz not null default now(),
    updated_at       timestamptz not null default now(),
    unique (workspace_id, name)
);

insert into penstock.llm_configurations (workspace_id, name)
select workspace_id, 'default' from penstock.llm_configs;

alter table penstock.llm_configs
    add foreign key (workspace_id, default_configuration)
        references penstock.llm_configurations (workspace_id, name) deferrable initially deferred;

-- The workers' public keys, to which workspaces' provider keys are sealed; the newest is in use.
create table penstock.sealing_keys (
    id          text primary key,                   -- of its fingerprint
    public_key  bytea not null,
    created_at  timestamptz not null default now()
);

create table penstock.provider_keys (
    workspace_id  text not null references penstock.workspaces (id),
    provider      text not null,
    sealed        bytea not null,                   -- only workers can open it
    sealed_to     text not null references penstock.sealing_keys (id),
    fingerprint   text not null,                    -- names the credential; the same key, the same name
    works         boolean,                          -- as its last test said; null: not tested
    problem       text,
    tested_at     timestamptz,
    created_at    timestamptz not null default now(),
    updated_at    timestamptz not null default now(),
    primary key (workspace_id, provider)
);

create table penstock.api_tokens (
    id            text primary key,
    workspace_id  text references penstock.workspaces (id), -- null: of all workspaces
    name          text not null,
    hash          bytea not null,                   -- SHA-256 of the secret, which is 256 random bits
    scopes        text[] not null,
    created_at    timestamptz not null default now(),
    expires_at    timestamptz,
    revoked_at    timestamptz,
    last_used_at  timestamptz
);
create index api_tokens_by_workspace on penstock.api_tokens (workspace_id, created_at);

alter table penstock.jobs
    add column configuration     text not null default 'default',
    add column session_key       text,
    add column task_description  text,
    add column trace             text;              -- W3C traceparent of the submit

-- What an attempt reserved, and of which budgets (bits: 1 tokens, 2 money).
alter table penstock.attempts
    add column configuration       text not null default 'default',
    add column credential          text not null default 'platform',
    add column hold_input_tokens   integer,
    add column hold_output_tokens  integer,
    add column hold_usd            numeric,
    add column reserves            smallint not null default 0;

create or replace view penstock.usage as
select a.job_id, a.number as attempt, a.workspace, a.provider, a.model, a.state, a.started_at,
       a.finished_at, a.duration_ms, a.http_status, a.finish_reason, a.error_kind, a.error_code,
       a.input_tokens, a.output_tokens, a.cache_read_tokens, a.cache_write_tokens,
       a.reasoning_tokens, a.estimated, a.cost_usd, a.simulated,
       j.capability, j.skill, j.step, j.agent, j.task_type,
       a.configuration, a.credential, j.task_description, j.session_key
from penstock.attempts a
left join penstock.jobs j on j.id = a.job_id
where a.state >= 10;

-- The same, summed by the hour in which calls began (by the workspace's clock) and by tags, and kept
-- up by a trigger on attempts: so it always adds up with them, and outlives them. '' stands for no tag.
create table penstock.usage_hours (
    workspace           text not null,
    hour                timestamptz not null,
    configuration       text not null,
    capability          text not null,
    skill               text not null,
    step                text not null,
    agent               text not null,
    task_type           text not null,
    provider            text not null,
    model               text not null,
    simulated           boolean not null,
    calls               bigint not null,
    succeeded           bigint not null,
    failed              bigint not null,
    abandoned           bigint not null,            -- lost, and counted as what they may have cost
    input_tokens        bigint not null,
    output_tokens       bigint not null,
    cache_read_tokens   bigint not null,
    cache_write_tokens  bigint not null,
    reasoning_tokens    bigint not null,
    cost_usd            numeric not null,           -- of the calls whose price is known
    unpriced            bigint not null,            -- calls whose price is not known
    duration_ms         bigint not null,
    primary key (workspace, hour, configuration, capability, skill, step, agent, task_type,
                 provider, model, simulated)
) with (
    fillfactor = 50,
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_cost_delay = 0
);

insert into penstock.usage_hours
select workspace, date_trunc('hour', started_at), configuration, coalesce(capability, ''),
       coalesce(skill, ''), coalesce(step, ''), coalesce(agent, ''), coalesce(task_type, ''),
       provider, model, simulated, count(*), count(*) filter (where state = 10),
       count(*) filter (where state = 11), count(*) filter (where state = 12),
       sum(input_tokens), sum(output_tokens), sum(cache_read_tokens), sum(cache_write_tokens),
       sum(reasoning_tokens), coalesce(sum(cost_usd), 0), count(*) filter (where cost_usd is null),
       coalesce(sum(duration_ms), 0)
from penstock.usage
group by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11;

-- Whatever statement ends or corrects attempts, what they used is counted in the same transaction:
-- by the hour, against the workspace's tokens and against its configuration's money. An attempt that
-- ends gives back what it reserved. Budgets are locked first, as open_attempts.sql does it.
create function penstock.count_attempts() returns trigger
language plpgsql as $$
begin
    if not exists (select from after_rows) then -- as in most claims, which abandon nothing
        return null;
    end if;

    update penstock.llm_configs c
    set tokens_held = c.tokens_held + spent.held,
        tokens_used_this_month = greatest(0, spent.used + case when c.budget_reset_at > now()
            then c.tokens_used_this_month else 0 end),
        budget_reset_at = case when c.budget_reset_at > now() then c.budget_reset_at
            else penstock.next_reset('month', c.time_zone) end
    from (
        select locked.workspace_id, s.used, s.held
        from (
            select x.workspace, sum(x.used) as used, sum(x.held) as held
            from (select workspace, input_tokens::bigint + output_tokens as used, 0::bigint as held
                  from after_rows where state >= 10
                  union all
                  select workspace,
                         case when state >= 10 then -(input_tokens::bigint + output_tokens) else 0 end,
                         case when state = 1 and reserves & 1 = 1
                              then -(hold_input_tokens::bigint + hold_output_tokens) else 0 end
                  from before_rows) x
            group by 1
        ) s
        join penstock.llm_configs locked on locked.workspace_id = s.workspace
        where s.used <> 0 or s.held <> 0
        order by locked.workspace_id
        for update of locked
    ) spent
    where c.workspace_id = spent.workspace_id;

    update penstock.llm_configurations c
    set usd_held = c.usd_held + spent.held,
        usd_today = greatest(0, spent.used
            + case when c.day_resets_at > now() then c.usd_today else 0 end),
        usd_this_month = greatest(0, spent.used
            + case when c.month_resets_at > now() then c.usd_this_month else 0 end),
        day_resets_at = case when c.day_resets_at > now() then c.day_resets_at
            else penstock.next_reset('day', spent.time_zone) end,
        month_resets_at = case when c.month_resets_at > now() then c.month_resets_at
            else penstock.next_reset('month', spent.time_zone) end
    from (
        select locked.id, w.time_zone, s.used, s.held
        from (
            select x.workspace, x.configuration, sum(x.used) as used, sum(x.held) as held
            from (select workspace, configuration, coalesce(cost_usd, 0) as used, 0::numeric as held
                  from after_rows where state >= 10
                  union all
                  select workspace, configuration,
                         case when state >= 10 then -coalesce(cost_usd, 0) else 0 end,
                         case when state = 1 and reserves & 2 = 2 then -hold_usd else 0 end
                  from before_rows) x
            group by 1, 2
        ) s
        join penstock.llm_configs w on w.workspace_id = s.workspace
        join penstock.llm_configurations locked
            on locked.workspace_id = s.workspace and locked.name = s.configuration
        where s.used <> 0 or s.held <> 0
        order by locked.id
        for update of locked
    ) spent
    where c.id = spent.id;

    insert into penstock.usage_hours as u
    select c.workspace,
           date_trunc('hour', c.started_at at time zone coalesce(w.time_zone, 'UTC'))
               at time zone coalesce(w.time_zone, 'UTC'),
           c.configuration, j.capability, coalesce(j.skill, ''), coalesce(j.step, ''),
           coalesce(j.agent, ''), coalesce(j.task_type, ''), c.provider, c.model, c.simulated,
           sum(c.sign), coalesce(sum(c.sign) filter (where c.state = 10), 0),
           coalesce(sum(c.sign) filter (where c.state = 11), 0),
           coalesce(sum(c.sign) filter (where c.state = 12), 0),
           sum(c.sign * c.input_tokens), sum(c.sign * c.output_tokens),
           sum(c.sign * c.cache_read_tokens), sum(c.sign * c.cache_write_tokens),
           sum(c.sign * c.reasoning_tokens), sum(c.sign * coalesce(c.cost_usd, 0)),
           coalesce(sum(c.sign) filter (where c.cost_usd is null), 0),
           sum(c.sign * coalesce(c.duration_ms, 0))
    from (select 1 as sign, n.* from after_rows n where n.state >= 10
          union all
          select -1, o.* from before_rows o where o.state >= 10) c
    join penstock.jobs j on j.id = c.job_id
    left join penstock.llm_configs w on w.workspace_id = c.workspace
    group by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
    order by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
    on conflict (workspace, hour, configuration, capability, skill, step, agent, task_type,
                 provider, model, simulated)
    do update set
        calls = u.calls + excluded.calls,
        succeeded = u.succeeded + excluded.succeeded,
        failed = u.failed + excluded.failed,
        abandoned = u.abandoned + excluded.abandoned,
        input_tokens = u.input_tokens + excluded.input_tokens,
        output_tokens = u.output_tokens + excluded.output_tokens,
        cache_read_tokens = u.cache_read_tokens + excluded.cache_read_tokens,
        cache_write_tokens = u.cache_write_tokens + excluded.cache_write_tokens,
        reasoning_tokens = u.reasoning_tokens + excluded.reasoning_tokens,
        cost_usd = u.cost_usd + excluded.cost_usd,
        unpriced = u.unpriced + excluded.unpriced,
        duration_ms = u.duration_ms + excluded.duration_ms;
    return null;
end
$$;

create trigger count_attempts after update on penstock.attempts
    referencing old table as before_rows new table as after_rows
    for each statement execute function penstock.count_attempts();
