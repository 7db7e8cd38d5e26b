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
    select status, job_id, attempt as number, started_at, finished_at, provider, model,
           configuration, credential, http_status, finish_reason, error_kind, error_code,
           error_message, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens,
           reasoning_tokens, estimated, cost_usd, simulated, duration_ms, capability, skill, step,
           agent, task_type, task_description, session_key
    from penstock.usage
    where workspace = $1
      and started_at >= greatest(h.hour, $2)
      and started_at < least(h.hour + interval '1 hour', $3)
      and started_at <= coalesce($5, 'infinity')
      and ($5 is null or (started_at, job_id, attempt) < ($5, $6::uuid, $7::integer))
      and ($8::text[] is null or configuration = any($8))
      and ($9::text[] is null or capability = any($9))
      and ($10::text[] is null or coalesce(skill, '') = any($10))
      and ($11::text[] is null or coalesce(step, '') = any($11))
      and ($12::text[] is null or coalesce(agent, '') = any($12))
      and ($13::text[] is null or coalesce(task_type, '') = any($13))
      and ($14::text[] is null or provider = any($14))
      and ($15::text[] is null or model = any($15) or provider || '/' || model = any($15))
      and ($16::text[] is null or status = any($16))
    order by started_at desc, job_id desc, attempt desc
    limit $4
) c
order by h.hour desc, c.started_at desc, c.job_id desc, c.number desc
limit $4
