-- Jobs that belong to something: to a run of a pipeline, or to a backfill.
--
-- Whoever owns jobs must be told of their ends, whatever statement brought them about. So a trigger
-- notes each of them, in the same transaction; stewards take the notes and carry the owner on. No
-- process has to stay alive for that.

alter table penstock.jobs add column owner uuid;

create index jobs_by_owner on penstock.jobs (owner, id) where owner is not null;

-- What owners have not seen yet: a job of theirs has ended, or (with themselves as the subject) they
-- were changed. Deleted by the transaction that acts on it.
create table penstock.news (
    owner    uuid not null,
    subject  uuid not null,
    primary key (owner, subject)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

create function penstock.note_ending() returns trigger
language plpgsql as $$
begin
    insert into penstock.news (owner, subject) values (new.owner, new.id) on conflict do nothing;
    return null;
end
$$;

create trigger note_ending after update of finished_at on penstock.jobs
    for each row
    when (new.finished_at is not null and old.finished_at is null and new.owner is not null)
    execute function penstock.note_ending();
