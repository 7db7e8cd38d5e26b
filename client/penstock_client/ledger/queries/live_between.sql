-- Jobs of one submit that still wait for their first attempt.
select id, workspace, provider, model, state, lane, placement_version, input_tokens_est,
       output_tokens_est, fence, available_at
from penstock.jobs
where id between $1 and $2 and finished_at is null and fence is null
order by id
