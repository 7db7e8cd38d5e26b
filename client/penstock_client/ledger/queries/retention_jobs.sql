-- Jobs of workspace $1 that ended until $4, in that order, at most $5 of those after $2 finished_at
-- and $3 job ID. They stay as they are until the transaction ends; what a requeue started again
-- meanwhile is not among them.
select j.id, j.finished_at, j.provider
from penstock.jobs j
where j.workspace = $1 and j.finished_at >= $2::timestamptz and j.finished_at <= $4::timestamptz
  and (j.finished_at, j.id) > ($2, $3::uuid)
order by j.finished_at, j.id
limit $5
for no key update
