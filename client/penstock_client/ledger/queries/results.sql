-- How jobs stand, with the result of those that have ended.
select j.id, j.state, j.workspace, a.body
from penstock.jobs j
left join penstock.answers a on a.job_id = j.id and a.number = j.answer
where j.id = any($1::uuid[])
