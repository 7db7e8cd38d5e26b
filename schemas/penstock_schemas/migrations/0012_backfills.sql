-- Backfills: one question for each of many rows, and how far that has come.
--
-- Rows are loaded in pages and stay as they are until they are asked. A steward keeps a window of
-- them under way: in one transaction it takes the news of jobs that ended, notes them at their rows,
-- counts, and records the next jobs. So the counts are exact, and nothing is asked twice, whoever
-- dies when.

create table penstock.backfills (
    id              uuid primary key,               -- a UUIDv7, as of jobs
    workspace       text not null references penstock.workspaces (id),
    name            text not null default '',
    identity        text not null,                  -- starting the same again gives the first one
    plan_key        text not null,                  -- what is asked of each row: a hash of the plan
    plan            json not null,                  -- penstock_client.backfill.plan.Plan
    origin          text not null default '',       -- where its rows came from, for people
    state           smallint not null default 1,    -- penstock_schemas.backfills.BackfillState
    reason          text,                           -- why it is paused, or was cancelled
    webhook         text,
    trace           text,
    row_window      integer not null,               -- rows under way at most
    rows_per_call   smallint not null default 1,
    dedupe          boolean not null default true,
    max_cost_usd    numeric,
    max_error_rate  real,
    sample          integer,                        -- rows of its dry run
    sampling        boolean not null default false, -- only those of the dry run are asked
    version         integer not null default 0,     -- counts its changes
    loaded          bigint not null default 0,      -- rows, of which the rest of the counts speak
    asked_bytes     bigint not null default 0,      -- of the input of all rows that are to be asked
    fed             bigint not null default -1,     -- number of the last row that was looked at
    fed_all         boolean not null default false, -- nothing is left to be asked
    under_way       integer not null default 0,     -- rows in open calls
    to_ask          bigint not null default 0,      -- rows that a call of their own is made for
    succeeded       bigint not null default 0,
    failed          bigint not null default 0,
    invalid         bigint not null default 0,      -- could not be asked
    duplicates      bigint not null default 0,      -- share the answer of an earlier row
    adopted         bigint not null default 0,      -- answered by an earlier backfill
    calls           bigint not null default 0,
    input_tokens    bigint not null default 0,
    output_tokens   bigint not null default 0,
    cost_usd        numeric not null default 0,
    cost_unknown    bigint not null default 0,      -- rows whose cost is not known
    simulated       bigint not null default 0,      -- rows with a simulated answer
    call_ms         bigint not null default 0,      -- how long calls took, in sum
    held_usd        numeric not null default 0,     -- the most that open calls may cost
    errors          json not null default '{}',     -- failed rows by kind
    recent          json not null default '[]',     -- [second, ended, failed] of the last rows
    fit             json not null default '[]',     -- sums over input bytes and cost of rows asked
    created_at      timestamptz not null default now(),
    started_at      timestamptz,
    finished_at     timestamptz,
    -- How far retention has come: the last of its jobs, and the number of its last row.
    stripped        uuid not null default '00000000-0000-0000-0000-000000000000',
    stripped_rows   bigint not null default -1,
    kept            boolean not null default true   -- what was asked and answered is
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);

create unique index backfills_identity on penstock.backfills (workspace, identity) where state <> 12;
create index backfills_by_workspace on penstock.backfills (workspace, id);
create index backfills_by_plan on penstock.backfills (workspace, plan_key);
create index backfills_open on penstock.backfills (id) where finished_at is null;
create index backfills_stopping on penstock.backfills (id) where state = 12 and under_way > 0;
create index backfills_ended on penstock.backfills (workspace, finished_at)
    where finished_at is not null and stripped_rows < loaded;

create table penstock.backfill_rows (
    backfill       uuid not null,
    number         bigint not null,                 -- in the order of the input, from 0
    line           bigint not null,                 -- where it stood there
    row_id         text,                            -- as JSON; null: it has none
    key            bytea not null,                  -- stands for the ID
    digest         bytea not null,                  -- stands for what is asked
    input          bytea,                           -- [text, prompt] as JSON; null: no longer kept
    state          smallint not null default 1,     -- penstock_schemas.backfills.RowState
    first          bigint,                          -- the row of the same content that is asked
    copies         integer not null default 1,      -- rows that its answer is for
    job_id         uuid,                            -- whose answer it has
    answer         bytea,                           -- its part of an answer to several rows, as JSON
    error          text,                            -- kind of the failure, or why it cannot be asked
    attempts       integer not null default 0,
    input_tokens   integer not null default 0,
    output_tokens  integer not null default 0,
    cost_usd       numeric default 0,               -- null: not known
    primary key (backfill, number)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05,
        autovacuum_vacuum_insert_scale_factor = 0.1);

-- Rows that are to be asked before the others: of a dry run, again after a failure, or alone.
create table penstock.backfill_again (
    backfill  uuid not null,
    number    bigint not null,
    alone     boolean not null default false,
    primary key (backfill, number)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

-- The jobs of a backfill that have not ended yet, and those that failed: these may be requeued.
create table penstock.backfill_calls (
    job_id    uuid primary key,
    backfill  uuid not null,
    numbers   bigint[] not null,
    held_usd  numeric not null default 0,
    open      boolean not null default true
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

create index backfill_calls_by_backfill on penstock.backfill_calls (backfill, job_id);

create function penstock.note_backfill_ending() returns trigger
language plpgsql as $$
declare
    ended_as text := case new.state when 10 then 'succeeded' when 11 then 'failed'
                                    else 'cancelled' end;
begin
    perform penstock.note_delivery(
        new.workspace, new.id, 'backfill.' || ended_as, new.webhook,
        json_build_object(
            'status', ended_as, 'name', nullif(new.name, ''), 'rows', new.loaded,
            'succeeded', new.succeeded + new.adopted, 'failed', new.failed + new.invalid,
            'cost_usd', new.cost_usd::text));
    return null;
end
$$;

create trigger note_ending after update of finished_at on penstock.backfills
    for each row
    when (new.finished_at is not null and old.finished_at is null and new.webhook is not null)
    execute function penstock.note_backfill_ending();

-- As before; and no week goes in which a backfill began that is still under way.
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
        continue when exists (
            select from penstock.backfills b where b.finished_at is null and b.id < week_end);
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
