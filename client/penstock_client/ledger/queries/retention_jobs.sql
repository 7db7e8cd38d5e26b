-- Jobs of workspace $1 that ended until $4, in that order, at most $5 of those after $2 finished_at
-- and $3 job ID. They stay as they are until the transaction ends; what a requeue started again
-- meanwhile is not among them, nor is what a run needs that is under way, nor what belongs to a
-- backfill: its time counts from the end of the whole, see `retention_backfill`.
select j.id, j.finished_at, j.provider
from penstock.jobs j
where j.workspace = $1 and j.finished_at >= $2::timestamptz and j.finished_at <= $4::timestamptz
  and (j.finished_at, j.id) > ($2, $3::uuid)
  and not exists (select from penstock.runs r where r.id = j.owner and r.finished_at is null)
  and not exists (
      select from penstock.backfills b
      where b.id = j.owner and (b.finished_at is null or b.finished_at > $4))
order by j.finished_at, j.id
limit $5
for no key update
