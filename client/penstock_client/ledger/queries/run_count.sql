-- Count the items of the run $1 that have ended since the last time, by step.
with counted as (
    update penstock.run_items
    set counted = true
    where run = $1 and finished_at is not null and not counted
    returning position, item, state, error
)
select position, count(*) filter (where state = 10) as succeeded,
       count(*) filter (where state <> 10) as failed,
       (array_agg(error order by item) filter (where state <> 10))[1] as error
from counted
group by position
