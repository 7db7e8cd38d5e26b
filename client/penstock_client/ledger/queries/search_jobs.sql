-- A workspace's jobs, newest first, among the newest $4 of them with IDs from $2 to before $3. The
-- rest choose, null is any: $6 states, $7 capability, $8 skill, $9 step, $10 agent, $11 provider,
-- $12 model, $13 session, $14 configuration. At most $5; `scanned` and `horizon`, the oldest ID that was
-- looked at, stand in each row, in one without a job when none was found.
with scanned as materialized (
    select id, workspace, type, capability, configuration, provider, model, state, lane, attempts,
           last_error, created_at, started_at, finished_at, deadline, skill, step, agent, task_type,
           session_key, trace
    from penstock.jobs
    where workspace = $1 and id >= $2 and id < $3
    order by id desc
    limit $4
), found as (
    select * from scanned
    where ($6::smallint[] is null or state = any($6))
      and ($7::text is null or capability = $7)
      and ($8::text is null or skill = $8)
      and ($9::text is null or step = $9)
      and ($10::text is null or agent = $10)
      and ($11::text is null or provider = $11)
      and ($12::text is null or model = $12)
      and ($13::text is null or session_key = $13)
      and ($14::text is null or configuration = $14)
    order by id desc
    limit $5
), extent as (
    select (select count(*) from scanned) as scanned,
           (select id from scanned order by id limit 1) as horizon
)
select found.*, extent.scanned, extent.horizon
from extent
left join found on true
order by found.id desc
