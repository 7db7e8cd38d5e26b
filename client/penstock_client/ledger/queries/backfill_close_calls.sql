-- Forget the jobs $2 of the backfill $1, which need no more looks, and keep the jobs $3, which failed
-- and may be requeued.
with gone as (
    delete from penstock.backfill_calls where job_id = any($2::uuid[]) and backfill = $1
)
update penstock.backfill_calls set open = false, held_usd = 0
where job_id = any($3::uuid[]) and backfill = $1 and open
