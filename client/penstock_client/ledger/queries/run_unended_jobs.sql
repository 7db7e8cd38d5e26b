-- Jobs of the run $1 that have not ended, at most $2.
select id from penstock.jobs
where owner = $1 and finished_at is null
order by id
limit $2
