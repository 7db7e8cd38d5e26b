-- Calls of the sessions $17 of workspace $1; everything else as in usage_calls.
select status, job_id, attempt as number, started_at, finished_at, provider, model,
       configuration, credential, http_status, finish_reason, error_kind, error_code,
       error_message, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens,
       reasoning_tokens, estimated, cost_usd, simulated, duration_ms, capability, skill, step,
       agent, task_type, task_description, session_key
from penstock.usage
where workspace = $1 and session_key = any($17::text[])
  and started_at >= $2::timestamptz
  and started_at < coalesce($3::timestamptz, 'infinity')
  and ($5::timestamptz is null
       or (started_at, job_id, attempt) < ($5, $6::uuid, $7::integer))
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
