-- Webhooks: whoever asked for it is told of an end, by an HTTP request that a steward sends.
--
-- A delivery is noted in the transaction of the end itself, whatever statement brought that about;
-- nothing is sent for what was rolled back, and nothing is forgotten. Of one subject (a job, a run, a
-- backfill) at most one delivery has a time at which it is due: events are sent in their order, the
-- next one after the one before it was delivered or given up.

alter table penstock.jobs add column webhook text;

-- What deliveries are signed with, a workspace at a time. While an older one has not expired, both
-- signatures are sent.
create table penstock.webhook_secrets (
    workspace   text not null references penstock.workspaces (id),
    id          text not null,                      -- of its fingerprint
    sealed      bytea not null,                     -- only those with the workers' private keys open it
    sealed_to   text not null references penstock.sealing_keys (id),
    created_at  timestamptz not null default clock_timestamp(),
    expires_at  timestamptz,
    problem     text,                               -- why a steward cannot sign with it
    primary key (workspace, id)
);

create index webhook_secrets_by_sealing_key on penstock.webhook_secrets (sealed_to);

-- A UUIDv7 of this moment.
create function penstock.new_id() returns uuid
language sql volatile
return encode(
    set_byte(
        overlay(uuid_send(gen_random_uuid())
                placing substring(int8send((extract(epoch from clock_timestamp()) * 1000)::bigint) from 3)
                from 1 for 6),
        6, (get_byte(uuid_send(gen_random_uuid()), 6) & 15) | 112),
    'hex')::uuid;

create table penstock.deliveries (
    id               uuid primary key default penstock.new_id(), -- of the event: stable over retries
    workspace        text not null,
    subject          uuid not null,
    sequence         integer not null,              -- of the subject's events, from 1
    type             text not null,
    url              text not null,
    host             text not null generated always as
        (coalesce(lower(substring(url from '^[a-z]+://([^/?#]+)')), '')) stored,
    occurred_at      timestamptz not null default now(),
    detail           json not null,                 -- what the payload says of the subject's end
    body             bytea,                         -- the payload, the same at each attempt; null: not sent yet
    state            smallint not null default 1,   -- penstock_schemas.webhooks.DeliveryState
    attempts         smallint not null default 0,
    -- When it is to be sent, or its lease ends; null: waits for another of its subject, or has ended.
    next_at          timestamptz,
    lease            uuid,                          -- of the courier that sends it now
    last_status      smallint,                      -- HTTP status of the last attempt
    last_error       text,
    last_attempt_at  timestamptz,
    finished_at      timestamptz,
    unique (subject, sequence)
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);

create index deliveries_by_workspace on penstock.deliveries (workspace, id);
create index deliveries_due on penstock.deliveries (next_at) where next_at is not null;
create index deliveries_by_host on penstock.deliveries (workspace, host, next_at)
    where next_at is not null;
create index deliveries_given_up on penstock.deliveries (workspace, id) where state = 11;

-- Note an event of a subject. The subject's first delivery is the lock of them all.
create function penstock.note_delivery(
    of_workspace text, of_subject uuid, of_type text, to_url text, with_detail json
) returns void
language plpgsql as $$
begin
    perform from penstock.deliveries d where d.subject = of_subject
        order by d.sequence limit 1 for update;
    insert into penstock.deliveries (workspace, subject, sequence, type, url, detail, next_at)
    select of_workspace, of_subject, coalesce(max(d.sequence), 0) + 1, of_type, to_url, with_detail,
           case when count(*) filter (where d.state = 1) = 0 then now() end
    from penstock.deliveries d
    where d.subject = of_subject;
end
$$;

-- Let the first open delivery of a subject be sent, unless another is being sent already. Its caller
-- holds the subject's lock.
create function penstock.release_delivery(of_subject uuid) returns void
language sql as $$
    update penstock.deliveries d
    set next_at = now()
    where d.id = (
        select o.id from penstock.deliveries o
        where o.subject = of_subject and o.state = 1
        order by o.sequence limit 1
    ) and not exists (
        select from penstock.deliveries o where o.subject = of_subject and o.next_at is not null
    )
$$;

-- Note what became of an attempt: the state that follows, HTTP status, problem, and seconds until the
-- next. False for one whose lease is not held any more, which changes nothing.
create function penstock.settle_delivery(
    event uuid, held uuid, new_state smallint, status smallint, problem text, wait_s double precision
) returns boolean
language plpgsql as $$
declare
    of_subject uuid;
begin
    select d.subject into of_subject from penstock.deliveries d where d.id = event;
    perform from penstock.deliveries d where d.subject = of_subject
        order by d.sequence limit 1 for update;
    update penstock.deliveries d
    set state = new_state, attempts = least(d.attempts + 1, 32000), lease = null,
        last_status = status, last_error = problem, last_attempt_at = now(),
        next_at = case when new_state = 1 then now() + make_interval(secs => wait_s) end,
        finished_at = case when new_state <> 1 then now() end
    where d.id = event and d.lease = held;
    if not found then
        return false;
    end if;
    if new_state <> 1 then
        perform penstock.release_delivery(of_subject);
    end if;
    return true;
end
$$;

-- Send again what was given up or delivered, or now what waits for its next attempt; in its turn.
create function penstock.retry_delivery(of_workspace text, event uuid) returns void
language plpgsql as $$
declare
    of_subject uuid;
begin
    select d.subject into of_subject from penstock.deliveries d
    where d.id = event and d.workspace = of_workspace;
    perform from penstock.deliveries d where d.subject = of_subject
        order by d.sequence limit 1 for update;
    update penstock.deliveries d
    set next_at = now()
    where d.id = event and d.subject = of_subject and d.next_at is not null and d.lease is null;
    update penstock.deliveries d
    set state = 1, finished_at = null, attempts = 0
    where d.id = event and d.subject = of_subject and d.state <> 1;
    perform penstock.release_delivery(of_subject);
end
$$;

create function penstock.note_job_ending() returns trigger
language plpgsql as $$
declare
    ended_as text := case new.state when 10 then 'succeeded' when 11 then 'failed'
                                    when 12 then 'cancelled' else 'expired' end;
begin
    if new.owner is not null then
        insert into penstock.news (owner, subject) values (new.owner, new.id)
        on conflict do nothing;
    end if;
    if new.webhook is not null then
        perform penstock.note_delivery(
            new.workspace, new.id, 'job.' || ended_as, new.webhook,
            json_build_object(
                'status', ended_as, 'skill', new.skill, 'step', new.step, 'error',
                case when new.state <> 10 then new.last_error end, 'answer', new.answer));
    end if;
    return null;
end
$$;

drop trigger note_ending on penstock.jobs;
create trigger note_ending after update of finished_at on penstock.jobs
    for each row
    when (new.finished_at is not null and old.finished_at is null
          and (new.owner is not null or new.webhook is not null))
    execute function penstock.note_job_ending();
drop function penstock.note_ending();

create function penstock.note_run_ending() returns trigger
language plpgsql as $$
declare
    ended_as text := case new.state when 10 then 'succeeded' when 11 then 'failed'
                                    else 'cancelled' end;
begin
    perform penstock.note_delivery(
        new.workspace, new.id, 'run.' || ended_as, new.webhook,
        json_build_object('status', ended_as, 'skill', new.skill, 'error', left(new.error, 500),
                          'metadata', new.options -> 'metadata'));
    return null;
end
$$;

create trigger note_ending after update of finished_at on penstock.runs
    for each row
    when (new.finished_at is not null and old.finished_at is null and new.webhook is not null)
    execute function penstock.note_run_ending();
