-- At most $2 jobs of the backfill $1 that have not ended.
select c.job_id from penstock.backfill_calls c
join penstock.jobs j on j.id = c.job_id
where c.backfill = $1 and c.open and j.finished_at is null
limit $2
