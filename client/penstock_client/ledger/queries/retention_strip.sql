-- Write answers of workspace $4 again without what was answered: $1 job IDs, $2 numbers, $3 bodies.
update penstock.answers a
set body = t.body
from unnest($1::uuid[], $2::integer[], $3::bytea[]) as t (job_id, number, body)
join penstock.jobs j on j.id = t.job_id and j.workspace = $4
where a.job_id = t.job_id and a.number = t.number
