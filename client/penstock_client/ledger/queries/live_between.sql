-- Jobs of one submit that still wait for their first attempt.
select id, workspace, provider, model, state, lane, placement_version, input_tokens_est,
       output_tokens_est, fence, capability, limit_tag, configuration,
       coalesce(greatest(0, ceil(extract(epoch from available_at - now()) * 1000)), 0)::bigint as wait_ms
from penstock.jobs
where id between $1 and $2 and finished_at is null and fence is null
order by id
