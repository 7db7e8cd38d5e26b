-- What is under way that owns jobs, and what is told of it: runs, backfills by state and the rows they
-- have still to do, calls of COMPUTE functions, and webhooks: those that are to be sent, those due for
-- over a minute, and those given up within a day.
select r.runs, b.*, c.*, d.*, g.webhooks_given_up
from (select count(*) as runs from penstock.runs where finished_at is null) r
cross join (
    select count(*) filter (where state = 1) as backfills_loading,
           count(*) filter (where state = 4) as backfills_running,
           count(*) filter (where state = 5) as backfills_paused,
           coalesce(sum(loaded - succeeded - failed - invalid - adopted)
                        filter (where state in (4, 5)), 0)::bigint as backfill_rows_left
    from penstock.backfills where finished_at is null
) b
cross join (
    select count(*) filter (where fence is null) as compute_waiting,
           count(*) filter (where fence is not null) as compute_running
    from penstock.run_items where due_at is not null
) c
cross join (
    select count(*) as webhooks_waiting,
           count(*) filter (where next_at < now() - interval '1 minute') as webhooks_late
    from penstock.deliveries where next_at is not null
) d
cross join (
    select count(*) as webhooks_given_up
    from penstock.deliveries where state = 11 and finished_at > now() - interval '1 day'
) g
