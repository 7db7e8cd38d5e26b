-- A workspace's jobs, newest first. $2 state or null, $3 capability or null, $4 before this ID or
-- null, $5 how many.
select id, workspace, type, capability, provider, model, state, lane, attempts, last_error,
       created_at, started_at, finished_at, skill, step
from penstock.jobs
where workspace = $1
  and ($2::smallint is null or state = $2)
  and ($3::text is null or capability = $3)
  and ($4::uuid is null or id < $4)
order by id desc
limit $5
