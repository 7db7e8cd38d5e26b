-- Have the failed rows of the backfill $1 asked again, by new jobs; returns how many rows that is.
with failed as (
    update penstock.backfill_rows
    set state = 1, error = null, job_id = null, answer = null, attempts = 0, input_tokens = 0,
        output_tokens = 0, cost_usd = 0
    where backfill = $1 and state = 11
    returning number, copies
), again as (
    insert into penstock.backfill_again (backfill, number)
    select $1, number from failed
    on conflict do nothing
), forgotten as (
    delete from penstock.backfill_calls where backfill = $1 and not open
), counted as (
    select count(*) as asked, coalesce(sum(copies), 0)::bigint as rows from failed
)
update penstock.backfills b
set failed = b.failed - counted.rows, errors = '{}', recent = '[]', fed_all = false, reason = null,
    state = case when counted.asked > 0 then 4 else b.state end,
    finished_at = case when counted.asked = 0 then b.finished_at end,
    sampling = b.sampling and counted.asked = 0, version = b.version + 1
from counted
where b.id = $1
returning counted.rows
