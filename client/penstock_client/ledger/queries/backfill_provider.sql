-- The provider of the newest job of the backfill $1 that has not ended.
select j.provider
from penstock.backfill_calls c
join penstock.jobs j on j.id = c.job_id
where c.backfill = $1 and c.open
order by c.job_id desc
limit 1
