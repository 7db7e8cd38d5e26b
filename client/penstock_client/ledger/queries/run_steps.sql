-- How the steps of the run $1 stand, in the order of their declaration.
select position, step, state, items, begun, succeeded, failed, error, started_at, finished_at
from penstock.run_steps
where run = $1
order by position
