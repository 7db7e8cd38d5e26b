-- A page of a provider's jobs that have not ended, by ID. $2: the last ID of the page before.
select id, workspace, provider, model, state, lane, placement_version, input_tokens_est,
       output_tokens_est, fence, capability, limit_tag, configuration,
       coalesce(greatest(0, ceil(extract(epoch from available_at - now()) * 1000)), 0)::bigint as wait_ms
from penstock.jobs
where provider = $1 and id > $2 and finished_at is null
order by id
limit $3
