-- End the jobs whose deadline passed while nothing ran for them or, apart from those, the ones that
-- should have ended a minute ago and whose worker says nothing. Skips what is being changed.
-- $1 whether those that run are meant. Returns where they stood, with the fence under which they were
-- held.
with late as (
    select id, fence from penstock.jobs
    where finished_at is null and deadline <= now()
      and case when $1::boolean then fence is not null and deadline <= now() - interval '1 minute'
               else fence is null end
    order by deadline
    limit 500
    for update skip locked
)
update penstock.jobs j
set state = 13, fence = -1, finished_at = now(), answer = 0, last_error = 'expired'
from late
where j.id = late.id
returning j.id, j.workspace, j.provider, j.model, j.state, j.lane, j.placement_version,
          j.input_tokens_est, j.output_tokens_est, late.fence, j.capability, j.limit_tag,
          j.configuration, 0::bigint as wait_ms, j.attempts, j.created_at, j.spent
