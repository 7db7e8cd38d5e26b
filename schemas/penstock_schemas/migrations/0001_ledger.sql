-- The ledger: workspaces, jobs, and what was asked, attempted and answered.
--
-- `jobs` is narrow and hot. Payloads, answers and attempts stand apart, partitioned by job ID: a
-- job ID is a UUIDv7, so a range of IDs is a range of time and retention is a partition drop.
-- No index covers a column that opening an attempt changes, so that update stays heap-only.

create schema if not exists penstock;

create table penstock.workspaces (
    id          text primary key,
    created_at  timestamptz not null default now()
);

create table penstock.llm_configs (
    id                      uuid primary key default gen_random_uuid(),
    workspace_id            text not null unique references penstock.workspaces (id),
    providers               jsonb not null default '{}',
    routing                 jsonb not null default '{}',
    default_token_budget    bigint default 50000,       -- a month; null is unlimited
    tokens_used_this_month  bigint not null default 0,
    budget_reset_at         timestamptz not null
        default ((date_trunc('month', now() at time zone 'utc') + interval '1 month')
                 at time zone 'utc'),
    created_at              timestamptz not null default now(),
    updated_at              timestamptz not null default now()
);

create table penstock.jobs (
    id                 uuid primary key,
    workspace          text not null,
    type               text not null,
    capability         text not null,
    provider           text not null,               -- where it is placed now
    model              text not null,
    state              smallint not null,           -- penstock_schemas.status.JobState
    lane               smallint not null,           -- penstock_schemas.status.Lane
    placement_version  smallint not null default 0, -- counts moves between providers
    attempts           integer not null default 0,  -- attempts opened: the next one's number less one
    tries              smallint not null default 0, -- attempts that count against max_attempts
    crashes            smallint not null default 0, -- attempts whose worker was lost
    max_attempts       smallint not null,
    input_tokens_est   integer not null,
    output_tokens_est  integer not null,
    -- Who may start work: null when nobody holds the job, the holder's token while it runs, -1
    -- for ever once the job is terminal. One comparison guards all three.
    fence              bigint,
    last_error         text,                        -- penstock_schemas.status.ErrorKind
    spent              jsonb,                       -- usage and cost of earlier attempts, after a retry
    answer             integer,                     -- the attempt whose answer is the result
    created_at         timestamptz not null default now(),
    available_at       timestamptz,
    started_at         timestamptz,
    finished_at        timestamptz,
    deadline           timestamptz,
    idempotency_key    text,
    skill              text,
    step               text,
    agent              text,
    task_type          text
) with (
    fillfactor = 75,
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_insert_scale_factor = 0.05,
    autovacuum_analyze_scale_factor = 0.02,
    autovacuum_vacuum_cost_delay = 0
);

create index jobs_by_workspace on penstock.jobs (workspace, id);
create index jobs_live on penstock.jobs (provider, id) where finished_at is null;
create index jobs_deadline on penstock.jobs (deadline)
    where finished_at is null and deadline is not null;
create unique index jobs_idempotency on penstock.jobs (workspace, idempotency_key)
    where idempotency_key is not null;

-- What was asked: the envelope of penstock_schemas.jobs, as JSON bytes.
create table penstock.payloads (
    job_id  uuid not null,
    body    bytea not null,
    primary key (job_id)
) partition by range (job_id);

-- What was answered: penstock_schemas.results.Result as JSON bytes. Number 0 is an end without an
-- attempt. A late answer to a job that has its result already is kept beside it.
create table penstock.answers (
    job_id  uuid not null,
    number  integer not null,
    body    bytea not null,
    primary key (job_id, number)
) partition by range (job_id);

-- One row for each call, written before its request is sent.
create table penstock.attempts (
    job_id              uuid not null,
    number              integer not null,
    workspace           text not null,
    provider            text not null,
    model               text not null,
    worker              text not null,
    fence               bigint not null,
    state               smallint not null,          -- penstock_schemas.status.AttemptState
    started_at          timestamptz not null default now(),
    finished_at         timestamptz,
    duration_ms         integer,
    http_status         smallint,
    finish_reason       text,
    error_kind          text,
    error_code          text,
    error_message       text,
    input_tokens        integer not null default 0,
    output_tokens       integer not null default 0,
    cache_read_tokens   integer not null default 0,
    cache_write_tokens  integer not null default 0,
    reasoning_tokens    integer not null default 0,
    estimated           boolean not null default false,
    cost_usd            numeric,                    -- null: not known, which is not free
    simulated           boolean not null default false,
    primary key (job_id, number)
) partition by range (job_id);

-- Submits whose jobs may not be in the index yet. One row for each submit, deleted once indexed;
-- the steward indexes the jobs of whatever is left behind.
create table penstock.submissions (
    first_id  uuid primary key,
    last_id   uuid not null,
    due_at    timestamptz not null
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- Every call that was made or may have been made, with the tags of its job.
create view penstock.usage as
select a.job_id, a.number as attempt, a.workspace, a.provider, a.model, a.state, a.started_at,
       a.finished_at, a.duration_ms, a.http_status, a.finish_reason, a.error_kind, a.error_code,
       a.input_tokens, a.output_tokens, a.cache_read_tokens, a.cache_write_tokens,
       a.reasoning_tokens, a.estimated, a.cost_usd, a.simulated,
       j.capability, j.skill, j.step, j.agent, j.task_type
from penstock.attempts a
left join penstock.jobs j on j.id = a.job_id
where a.state >= 10;

-- The smallest UUIDv7 of a moment.
create function penstock.first_id_at(moment timestamptz) returns uuid
language sql immutable
return (lpad(to_hex((extract(epoch from moment) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid;

-- Make the weekly partitions from the week of `since` on; safe to repeat. Returns how many are new.
create function penstock.ensure_partitions(since timestamptz, weeks integer) returns integer
language plpgsql as $$
declare
    made integer := 0;
    week timestamptz := date_trunc('week', since at time zone 'utc') at time zone 'utc';
    parent text;
    child text;
begin
    perform pg_advisory_xact_lock(hashtext('penstock.ensure_partitions'));
    for step in 0 .. weeks - 1 loop
        foreach parent in array array['attempts', 'answers', 'payloads'] loop
            child := format('%s_%s', parent, to_char(week at time zone 'utc', 'IYYY"w"IW'));
            if to_regclass('penstock.' || child) is not null then
                continue;
            end if;
            begin
                execute format(
                    'create table penstock.%I partition of penstock.%I for values from (%L) to (%L)'
                    ' with (autovacuum_vacuum_insert_scale_factor = 0.1%s)',
                    child, parent,
                    penstock.first_id_at(week), penstock.first_id_at(week + interval '168 hours'),
                    case parent when 'attempts' then ', fillfactor = 70' else '' end);
                made := made + 1;
            exception when check_violation then
                raise warning 'penstock: % is not made: rows of that week are in the default partition',
                    child;
            end;
        end loop;
        week := week + interval '168 hours';
    end loop;
    return made;
end
$$;

-- For job IDs whose clock was far off; the weekly partitions hold everything else.
create table penstock.payloads_other partition of penstock.payloads default;
create table penstock.answers_other partition of penstock.answers default;
create table penstock.attempts_other partition of penstock.attempts default;

select penstock.ensure_partitions(now() - interval '7 days', 6);
