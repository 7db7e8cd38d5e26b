-- A workspace's jobs that ended without an answer, oldest first: what a requeue may start again.
-- $2 states, $3 kind of error or null, $4 ended since then or null, $5 how many.
select id
from penstock.jobs
where workspace = $1
  and state = any($2::smallint[])
  and ($3::text is null or last_error = $3)
  and ($4::timestamptz is null or finished_at >= $4)
order by id
limit $5
