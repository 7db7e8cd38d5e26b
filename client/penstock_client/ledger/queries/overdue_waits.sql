-- Jobs that have waited for a start longer than they may and that nobody holds, longest first, with
-- the routes they may take.
select j.id, j.workspace, j.provider, j.model, j.state, j.lane, j.placement_version,
       j.input_tokens_est, j.output_tokens_est, j.fence, j.capability, j.limit_tag, j.configuration,
       0::bigint as wait_ms, j.max_queue_wait_s, j.attempts, j.created_at, j.spent,
       coalesce(penstock.routes_of(p.body), '{}') as routes
from penstock.jobs j
left join penstock.payloads p on p.job_id = j.id
where j.wait_until <= now() and j.finished_at is null
  and j.state in (1, 2) and j.fence is null
order by j.wait_until
limit $1
