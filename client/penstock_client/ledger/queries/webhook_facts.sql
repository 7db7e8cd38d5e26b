-- What the payload says of a job beside what was noted at its end: $1 job ID, $2 number of its answer.
select a.body as answer, p.body as payload
from (select $1::uuid as id) j
left join penstock.answers a on a.job_id = j.id and a.number = $2::integer
left join penstock.payloads p on p.job_id = j.id
