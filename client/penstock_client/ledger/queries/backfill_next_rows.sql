-- The rows of the backfill $1 after the number $2, at most $3; without what is not to be asked.
select number, copies,
       case when state = 1 and first is null then input end as input,
       state = 1 and first is null and not exists (
           select from penstock.backfill_again a
           where a.backfill = $1 and a.number = backfill_rows.number
       ) as ask
from penstock.backfill_rows
where backfill = $1 and number > $2
order by number
limit $3
