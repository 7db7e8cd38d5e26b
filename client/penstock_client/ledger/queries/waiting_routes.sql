-- Those of some jobs of a provider that wait and that nobody holds, with the routes they may take.
-- Does not ask for `finished_at`, see `divert`. $1 provider, $2 job IDs.
select j.id, j.workspace, j.provider, j.model, j.state, j.lane, j.placement_version,
       j.input_tokens_est, j.output_tokens_est, j.fence, j.capability, j.limit_tag, j.configuration,
       0::bigint as wait_ms,
       coalesce(penstock.routes_of(p.body), '{}') as routes
from penstock.jobs j
join penstock.payloads p on p.job_id = j.id
where j.id = any($2::uuid[]) and j.provider = $1
  and j.state in (1, 2) and j.fence is null
