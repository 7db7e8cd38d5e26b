-- Items of the run $1 that are to start again, at most $2, with how their jobs stand now.
select i.position, i.item, i.job_id, j.state as job_state
from penstock.run_items i
left join penstock.jobs j on j.id = i.job_id
where i.run = $1 and i.state = 1
order by i.position, i.item
limit $2
