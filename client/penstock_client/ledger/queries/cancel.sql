-- Cancel jobs that have not ended; their results are kept by `keep_answers`. Waits for nobody: what
-- is being changed at this moment is left out. Those that run are taken one at a time, or the locks
-- of many jobs would be held while budgets are waited for.
-- $1 job IDs, $2 whether those that run are cancelled too. Returns where they stood, with the fence
-- under which they were held.
with chosen as (
    select id, fence from penstock.jobs
    where id = any($1::uuid[]) and (fence is null or ($2::boolean and fence <> -1))
    for update skip locked
)
update penstock.jobs j
set state = 12, fence = -1, finished_at = now(), answer = 0, last_error = 'cancelled'
from chosen
where j.id = chosen.id
returning j.id, j.workspace, j.provider, j.model, j.state, j.lane, j.placement_version,
          j.input_tokens_est, j.output_tokens_est, chosen.fence, j.capability, j.limit_tag,
          j.configuration, 0::bigint as wait_ms, j.attempts, j.created_at, j.spent
