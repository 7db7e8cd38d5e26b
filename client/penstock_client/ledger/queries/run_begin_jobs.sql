-- Items of the run $1 that jobs stand for, or that failed before: $2 position, $3 items, $4 jobs,
-- $5 messages of those that have none.
insert into penstock.run_items (run, position, item, state, job_id, error, finished_at)
select $1, $2, t.item, case when t.job_id is null then 11 else 4 end, t.job_id, t.error,
       case when t.job_id is null then now() end
from unnest($3::integer[], $4::uuid[], $5::text[]) as t (item, job_id, error)
on conflict (run, position, item) do update
set state = excluded.state, counted = false, job_id = excluded.job_id, error = excluded.error,
    finished_at = excluded.finished_at
