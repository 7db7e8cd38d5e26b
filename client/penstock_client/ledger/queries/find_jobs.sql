-- A workspace's jobs, newest first: those before the ID $2 or null, at most $3 of them. The rest
-- choose: $4 state, $5 capability, $6 skill, $7 step, $8 agent, $9 task type, $10 provider,
-- $11 model, $12 session, $13 configuration; null is any.
select id, workspace, type, capability, configuration, provider, model, state, lane, attempts,
       last_error, created_at, started_at, finished_at, deadline, skill, step, agent, task_type,
       session_key
from penstock.jobs
where workspace = $1
  and ($2::uuid is null or id < $2)
  and ($4::smallint is null or state = $4)
  and ($5::text is null or capability = $5)
  and ($6::text is null or skill = $6)
  and ($7::text is null or step = $7)
  and ($8::text is null or agent = $8)
  and ($9::text is null or task_type = $9)
  and ($10::text is null or provider = $10)
  and ($11::text is null or model = $11)
  and ($12::text is null or session_key = $12)
  and ($13::text is null or configuration = $13)
order by id desc
limit $3
