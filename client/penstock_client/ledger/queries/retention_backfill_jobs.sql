-- Jobs of the backfill $1 after the job $2, at most $3. They stay as they are until the transaction
-- ends.
select j.id, j.finished_at, j.provider
from penstock.jobs j
where j.owner = $1 and j.id > $2 and j.finished_at is not null
order by j.id
limit $3
for no key update
