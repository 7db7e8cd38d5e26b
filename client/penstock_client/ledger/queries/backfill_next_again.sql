-- At most $2 rows of the backfill $1 that are to be asked before the others.
select a.number, a.alone, r.copies, r.input, r.state = 1 as ask
from penstock.backfill_again a
join penstock.backfill_rows r on r.backfill = a.backfill and r.number = a.number
where a.backfill = $1
order by a.number
limit $2
