-- A workspace's jobs that ended without an answer for one reason, newest first: kind of error $2, IDs
-- from $3 to before $4, at most $5.
select id, workspace, type, capability, configuration, provider, model, state, lane, attempts,
       last_error, created_at, started_at, finished_at, deadline, skill, step, agent, task_type,
       session_key, trace
from penstock.jobs
where workspace = $1 and last_error = $2 and id >= $3 and id < $4 and finished_at is not null
order by id desc
limit $5
