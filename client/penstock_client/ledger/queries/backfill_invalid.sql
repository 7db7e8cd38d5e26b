-- The first $3 rows of the backfill $1 after the number $2 that could not be asked.
select number, line, error from penstock.backfill_rows
where backfill = $1 and number > $2 and state = 13
order by number
limit $3
