-- End the jobs whose deadline passed while nothing ran for them, and those that should have ended a
-- minute ago and whose worker says nothing. Skips what is being changed.
with late as (
    select id from penstock.jobs
    where finished_at is null and deadline <= now()
      and (state in (1, 2, 3) or deadline <= now() - interval '1 minute')
    order by deadline
    limit 500
    for update skip locked
), ended as (
    update penstock.jobs j
    set state = 13, fence = -1, finished_at = now(), answer = 0, last_error = 'expired'
    from late
    where j.id = late.id
    returning j.id, j.workspace, j.provider, j.model, j.attempts, j.created_at, j.spent
)
select * from ended
