-- Pipelines: skills as they were declared, runs of them, and what became of each of their steps.
--
-- A run's LLM steps are ordinary jobs of which it is the owner; their answers stay where answers
-- are. What COMPUTE steps took and gave stands here. A steward carries runs on, in one transaction
-- for each look at one: it takes the run's news, counts, and begins what is ready.

-- Every declaration that was ever run or put, by what it says.
create table penstock.skill_definitions (
    workspace   text not null references penstock.workspaces (id),
    digest      text not null,
    name        text not null,
    definition  json not null,                      -- json keeps the order of a schema's fields
    created_at  timestamptz not null default now(),
    primary key (workspace, digest)
);

-- The declaration that a name stands for now.
create table penstock.skills (
    workspace   text not null references penstock.workspaces (id),
    name        text not null,
    digest      text not null,
    created_at  timestamptz not null default now(),
    updated_at  timestamptz not null default now(),
    primary key (workspace, name),
    foreign key (workspace, digest) references penstock.skill_definitions (workspace, digest)
);

create table penstock.runs (
    id               uuid primary key,              -- a UUIDv7, as of jobs
    workspace        text not null references penstock.workspaces (id),
    skill            text not null,
    digest           text not null,
    state            smallint not null default 4,   -- penstock_schemas.runs.RunState
    epoch            integer not null default 0,    -- how often it was resumed
    version          integer not null default 0,    -- counts its changes
    stopping         boolean not null default false, -- what it had begun is to be cancelled
    options          json not null default '{}',    -- penstock_client.pipelines.options.RunOptions
    inputs           bytea,                         -- JSON; null: no longer kept
    output           bytea,
    error            text,
    webhook          text,
    idempotency_key  text,
    trace            text,
    created_at       timestamptz not null default now(),
    finished_at      timestamptz,
    kept             boolean not null default true, -- inputs, outputs and messages are
    foreign key (workspace, digest) references penstock.skill_definitions (workspace, digest)
);

create index runs_by_workspace on penstock.runs (workspace, id);
create index runs_live on penstock.runs (workspace, created_at) where finished_at is null;
create index runs_ended on penstock.runs (workspace, finished_at) where finished_at is not null and kept;
create index runs_open on penstock.runs (id) where finished_at is null;
create index runs_stopping on penstock.runs (id) where stopping;
create unique index runs_idempotency on penstock.runs (workspace, idempotency_key)
    where idempotency_key is not null;

create table penstock.run_steps (
    run          uuid not null references penstock.runs (id),
    position     smallint not null,
    step         text not null,
    state        smallint not null default 1,       -- penstock_schemas.runs.StepState
    items        integer,                           -- null until it begins; 1 without a fan-out
    begun        integer not null default 0,
    succeeded    integer not null default 0,
    failed       integer not null default 0,
    error        text,
    started_at   timestamptz,
    finished_at  timestamptz,
    primary key (run, position)
) with (fillfactor = 80);

-- One call of a step: a job, or a call of a COMPUTE function.
create table penstock.run_items (
    run            uuid not null,
    position       smallint not null,
    item           integer not null,
    state          smallint not null,               -- penstock_schemas.runs.StepState
    counted        boolean not null default false,  -- its end stands in run_steps
    job_id         uuid,
    error          text,
    -- Of COMPUTE steps only. `fence` is the token of the worker that runs it, null while none does;
    -- `due_at`: when a steward looks at it again, for a worker renews its lease by moving that.
    function       text,
    input          bytea,
    output         bytea,
    max_attempts   smallint,
    timeout_s      real,
    retry_delay_s  real,
    starts         integer not null default 0,
    tries          smallint not null default 0,     -- attempts that failed
    crashes        smallint not null default 0,     -- attempts whose worker was lost
    looks          smallint not null default 0,     -- of stewards while it waited in its queue
    fence          bigint,
    missing_since  timestamptz,                     -- no worker of the module had the function
    due_at         timestamptz,
    started_at     timestamptz,
    finished_at    timestamptz,
    primary key (run, position, item)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);

create index run_items_by_job on penstock.run_items (job_id) where job_id is not null;
create index run_items_due on penstock.run_items (due_at) where due_at is not null;
create index run_items_uncounted on penstock.run_items (run)
    where finished_at is not null and not counted;
create index run_items_again on penstock.run_items (run) where state = 1;

-- As before; and no week goes in which a run began that is still under way.
create or replace function penstock.drop_old_partition(weeks integer) returns text
language plpgsql as $$
declare
    horizon timestamptz := date_trunc('week', now(), 'UTC') - make_interval(weeks => weeks);
    child text;
    week_end uuid;
    open boolean;
begin
    if weeks is null or weeks < 1 then
        return null;
    end if;
    perform set_config('lock_timeout', '2s', true);
    for child, week_end in
        select c.relname,
               penstock.first_id_at((to_date(right(c.relname, 7), 'IYYY"w"IW')::timestamp
                                     at time zone 'UTC') + interval '168 hours')
        from pg_catalog.pg_class c
        join pg_catalog.pg_namespace n on n.oid = c.relnamespace
        where n.nspname = 'penstock' and c.relkind = 'r' and c.relispartition
          and c.relname ~ '^(attempts|answers|payloads)_\d{4}w\d{2}$'
        order by right(c.relname, 7), c.relname desc
    loop
        continue when week_end > penstock.first_id_at(horizon);
        continue when exists (
            select from penstock.jobs j where j.finished_at is null and j.id < week_end);
        continue when exists (
            select from penstock.runs r where r.finished_at is null and r.id < week_end);
        if to_regclass('penstock.attempts_' || right(child, 7)) is not null then
            execute format('select exists (select from penstock.%I where state = 1)',
                           'attempts_' || right(child, 7)) into open;
            continue when open;
        end if;
        execute format('drop table penstock.%I', child);
        return child;
    end loop;
    return null;
exception when lock_not_available or deadlock_detected then
    return null;
end
$$;
