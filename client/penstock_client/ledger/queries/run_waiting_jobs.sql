-- The oldest job of each step of the run $1 that waits to start, of those made before $2 (an ID).
select distinct on (i.position) s.step, j.id
from penstock.jobs j
join penstock.run_items i on i.job_id = j.id and i.run = $1
join penstock.run_steps s on s.run = $1 and s.position = i.position
where j.owner = $1 and j.finished_at is null and j.state <> 4 and j.id < $2
order by i.position, j.id
