-- Flow control: what operators set, and what a job says about how long it may wait.

alter table penstock.jobs
    add column limit_tag         text,        -- jobs of a tag share the limits that are set for it
    add column max_queue_wait_s  real,
    add column wait_until        timestamptz; -- when its present wait for a start is too long

create index jobs_waiting_until on penstock.jobs (wait_until)
    where finished_at is null and wait_until is not null;

-- A workspace's share of a provider beside others'.
alter table penstock.llm_configs
    add column weight real not null default 1 check (weight > 0 and weight <= 1000);

-- Limits that operators set. `scope` is provider, credential:<c>, group:<c>/<g>, model:<m>,
-- workspace:<w> or tag:<t>, where * stands for each name without a limit of its own.
create table penstock.limits (
    provider    text not null,
    scope       text not null,
    unit        text not null
        check (unit in ('requests', 'tokens', 'input_tokens', 'output_tokens', 'concurrency')),
    window_s    integer not null check (window_s >= 0), -- 0 for concurrency
    amount      bigint not null check (amount > 0),
    updated_at  timestamptz not null default now(),
    primary key (provider, scope, unit, window_s)
);

-- What operators have paused; `provider` * is every provider. `scope` is provider,
-- workspace:<w>, lane:<number>, model:<m> or tag:<t>.
create table penstock.pauses (
    provider    text not null,
    scope       text not null,
    reason      text not null default '',
    since       timestamptz not null default now(),
    primary key (provider, scope)
);
