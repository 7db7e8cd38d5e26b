-- Calls of the sessions $17 of workspace $1; everything else as in usage_calls.
select c.*
from (
    select case when a.state = 10 then 'success'
                when a.error_code = 'timeout' or a.http_status in (408, 504) then 'timeout'
                when a.state = 12 then 'abandoned'
                when a.number < j.attempts or j.finished_at is null then 'retry'
                else 'error' end as status,
       a.job_id, a.number, a.started_at, a.finished_at, a.provider, a.model, a.configuration,
       a.credential, a.http_status, a.finish_reason, a.error_kind, a.error_code, a.error_message,
       a.input_tokens, a.output_tokens, a.cache_read_tokens, a.cache_write_tokens,
       a.reasoning_tokens, a.estimated, a.cost_usd, a.simulated, a.duration_ms,
       j.capability, j.skill, j.step, j.agent, j.task_type, j.task_description, j.session_key
    from penstock.jobs j
    join penstock.attempts a on a.job_id = j.id
    where j.workspace = $1 and j.session_key = any($17::text[])
      and a.workspace = $1 and a.state >= 10
      and a.started_at >= $2::timestamptz
      and a.started_at < coalesce($3::timestamptz, 'infinity')
      and ($5::timestamptz is null
           or (a.started_at, a.job_id, a.number) < ($5, $6::uuid, $7::integer))
      and ($8::text[] is null or a.configuration = any($8))
      and ($9::text[] is null or j.capability = any($9))
      and ($10::text[] is null or coalesce(j.skill, '') = any($10))
      and ($11::text[] is null or coalesce(j.step, '') = any($11))
      and ($12::text[] is null or coalesce(j.agent, '') = any($12))
      and ($13::text[] is null or coalesce(j.task_type, '') = any($13))
      and ($14::text[] is null or a.provider = any($14))
      and ($15::text[] is null or a.model = any($15) or a.provider || '/' || a.model = any($15))
) c
where $16::text[] is null or c.status = any($16)
order by c.started_at desc, c.job_id desc, c.number desc
limit $4
