-- Every attempt of a job, in order.
select number, provider, model, worker, state, started_at, finished_at, duration_ms, http_status,
       finish_reason, error_kind, error_code, error_message, input_tokens, output_tokens,
       estimated, cost_usd, simulated
from penstock.attempts
where job_id = $1
order by number
