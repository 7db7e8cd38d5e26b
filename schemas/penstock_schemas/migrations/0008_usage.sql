-- Usage call by call, and how far retention has come.

-- Neither column changes after an attempt was opened, so settlements stay heap-only; attempts that
-- are opened together share their `started_at`, which Postgres keeps once.
create index attempts_by_time on penstock.attempts (workspace, started_at);

create index jobs_by_session on penstock.jobs (workspace, session_key, id)
    where session_key is not null;

-- `finished_at` decides membership in jobs_live already, so the update that ends a job writes to
-- every index with or without this one; all earlier updates leave it alone.
create index jobs_ended on penstock.jobs (workspace, finished_at) where finished_at is not null;

-- Up to which of a workspace's ended jobs retention has come. It goes over them twice, the second
-- time for answers that came after the job's end.
create table penstock.retention (
    workspace    text not null,
    pass         smallint not null check (pass in (1, 2)),
    finished_at  timestamptz not null default 'epoch',
    job_id       uuid not null default '00000000-0000-0000-0000-000000000000',
    due_at       timestamptz not null default now(),
    primary key (workspace, pass)
);

-- Drop one weekly partition (of attempts, answers and payloads in turn) whose jobs were made more
-- than `weeks` weeks ago and have all ended, with all their attempts. Returns its name, or null when
-- there is none, or when it is in use for longer than two seconds.
create function penstock.drop_old_partition(weeks integer) returns text
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
