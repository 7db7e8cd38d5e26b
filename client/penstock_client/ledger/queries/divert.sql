-- Move waiting jobs to other routes, where they queue at once. A job that was started, moved or ended
-- meanwhile stays where it is. Returns where the moved ones stand.
-- A terminal job has a fence, so `finished_at` need not be asked: asking would invite Postgres to
-- read the index of all live jobs.
-- $1 job IDs, $2 the placement versions they had, $3 providers and $4 models to go on with.
with input as (
    select * from unnest($1::uuid[], $2::smallint[], $3::text[], $4::text[])
        as t (id, placement, provider, model)
)
update penstock.jobs j
set state = 1, provider = input.provider, model = input.model,
    placement_version = j.placement_version + 1, available_at = null,
    wait_until = now() + make_interval(secs => j.max_queue_wait_s)
from input
where j.id = input.id
  and j.fence is null and j.placement_version = input.placement
returning j.id, j.workspace, j.provider, j.model, j.state, j.lane, j.placement_version,
          j.input_tokens_est, j.output_tokens_est, j.fence, j.capability, j.limit_tag, j.configuration,
          0::bigint as wait_ms
