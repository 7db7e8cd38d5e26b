-- Calls of workspace $1 that began from $2 until before $3, the newest first, at most $4 of those
-- that come after the call with $5 started_at, $6 job ID and $7 number (all null: from the newest).
-- $8 to $16: only those values, or all with null. Goes back hour by hour and looks into an hour only
-- where usage_hours has such calls, so that a rare tag costs no scan of all calls.
select c.*
from (
    select h.hour
    from generate_series(
        date_trunc('hour', least($3::timestamptz, $5::timestamptz, now()), 'UTC'),
        date_trunc('hour', greatest($2::timestamptz, coalesce((
            select u.hour from penstock.usage_hours u
            where u.workspace = $1 order by u.hour limit 1), 'infinity')), 'UTC'),
        interval '-1 hour') h (hour)
    order by h.hour desc
    offset 0
) h
cross join lateral (
    select from penstock.usage_hours u
    where u.workspace = $1
      and u.hour > h.hour - interval '1 hour' and u.hour < h.hour + interval '1 hour'
      and ($8::text[] is null or configuration = any($8))
      and ($9::text[] is null or capability = any($9))
      and ($10::text[] is null or skill = any($10))
      and ($11::text[] is null or step = any($11))
      and ($12::text[] is null or agent = any($12))
      and ($13::text[] is null or task_type = any($13))
      and ($14::text[] is null or provider = any($14))
      and ($15::text[] is null or model = any($15) or provider || '/' || model = any($15))
      and ($16::text[] is null or calls > succeeded or 'success' = any($16))
    limit 1
) known
cross join lateral (
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
    from penstock.attempts a
    join penstock.jobs j on j.id = a.job_id
    where a.workspace = $1 and a.state >= 10
      and a.started_at >= greatest(h.hour, $2)
      and a.started_at < least(h.hour + interval '1 hour', $3)
      and a.started_at <= coalesce($5, 'infinity')
      and ($5 is null or (a.started_at, a.job_id, a.number) < ($5, $6::uuid, $7::integer))
      and ($8::text[] is null or a.configuration = any($8))
      and ($9::text[] is null or j.capability = any($9))
      and ($10::text[] is null or coalesce(j.skill, '') = any($10))
      and ($11::text[] is null or coalesce(j.step, '') = any($11))
      and ($12::text[] is null or coalesce(j.agent, '') = any($12))
      and ($13::text[] is null or coalesce(j.task_type, '') = any($13))
      and ($14::text[] is null or a.provider = any($14))
      and ($15::text[] is null or a.model = any($15) or a.provider || '/' || a.model = any($15))
      and ($16::text[] is null or case when a.state = 10 then 'success'
                when a.error_code = 'timeout' or a.http_status in (408, 504) then 'timeout'
                when a.state = 12 then 'abandoned'
                when a.number < j.attempts or j.finished_at is null then 'retry'
                else 'error' end = any($16))
    order by a.started_at desc, a.job_id desc, a.number desc
    limit $4
) c
order by h.hour desc, c.started_at desc, c.job_id desc, c.number desc
limit $4
