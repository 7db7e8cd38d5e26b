-- What is kept of the answers to the jobs $1, all of workspace $2, with the jobs' states.
select a.job_id, a.number, a.body, j.state
from penstock.answers a
join penstock.jobs j on j.id = a.job_id
where a.job_id = any($1::uuid[]) and j.workspace = $2
order by a.job_id, a.number
