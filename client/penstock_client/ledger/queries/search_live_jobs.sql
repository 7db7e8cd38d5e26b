-- As `search_jobs`, of jobs that have not ended.
with scanned as materialized (
    select id, workspace, type, capability, configuration, provider, model, state, lane, attempts,
           last_error, created_at, started_at, finished_at, deadline, skill, step, agent, task_type,
           session_key, trace
    from penstock.jobs
    where finished_at is null and workspace = $1 and id >= $2 and id < $3
    order by provider desc, id desc
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
