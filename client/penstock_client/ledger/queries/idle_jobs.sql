-- A page of a provider's live jobs that should have moved a minute ago: ready and not claimed, or
-- running for longer than any call may take without an end in sight. $2: the last ID before.
select id, workspace, provider, model, state, lane, placement_version, input_tokens_est,
       output_tokens_est, fence, capability, limit_tag, configuration, 0::bigint as wait_ms
from penstock.jobs
where provider = $1 and id > $2 and finished_at is null and state <> 3
  and coalesce(greatest(available_at, started_at), available_at, started_at, created_at)
      < now() - interval '1 minute'
order by id
limit $3
