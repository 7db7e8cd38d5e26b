-- Forget what runs of workspace $1 that ended until $2 took and gave, at most $3 of them. What their
-- jobs were asked and answered goes with those jobs.
with chosen as (
    select id from penstock.runs
    where workspace = $1 and finished_at <= $2 and kept
    order by finished_at
    limit $3
    for update skip locked
), items as (
    update penstock.run_items i
    set input = null, output = null, error = null
    from chosen
    where i.run = chosen.id and (i.input is not null or i.output is not null or i.error is not null)
), steps as (
    update penstock.run_steps s
    set error = null
    from chosen
    where s.run = chosen.id and s.error is not null
)
update penstock.runs r
set inputs = null, output = null, kept = false,
    error = case when r.error is not null then 'why is no longer kept' end
from chosen
where r.id = chosen.id
returning r.id
