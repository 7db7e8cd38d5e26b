-- Calls of workspace $1 that began from $2 until before $3, the oldest first, at most $4 of those
-- that come after the call with $5 started_at, $6 job ID and $7 number (all null: from the oldest).
-- $8 to $17: only those values, or all with null.
select status, job_id, attempt as number, started_at, finished_at, provider, model,
       configuration, credential, http_status, finish_reason, error_kind, error_code,
       error_message, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens,
       reasoning_tokens, estimated, cost_usd, simulated, duration_ms, capability, skill, step,
       agent, task_type, task_description, session_key
from penstock.usage
where workspace = $1
  and started_at >= greatest($2::timestamptz, $5::timestamptz)
  and started_at < $3::timestamptz
  and ($5 is null or (started_at, job_id, attempt) > ($5, $6::uuid, $7::integer))
  and ($8::text[] is null or configuration = any($8))
  and ($9::text[] is null or capability = any($9))
  and ($10::text[] is null or coalesce(skill, '') = any($10))
  and ($11::text[] is null or coalesce(step, '') = any($11))
  and ($12::text[] is null or coalesce(agent, '') = any($12))
  and ($13::text[] is null or coalesce(task_type, '') = any($13))
  and ($14::text[] is null or provider = any($14))
  and ($15::text[] is null or model = any($15) or provider || '/' || model = any($15))
  and ($16::text[] is null or status = any($16))
  and ($17::text[] is null or session_key = any($17))
order by started_at, job_id, attempt
limit $4
