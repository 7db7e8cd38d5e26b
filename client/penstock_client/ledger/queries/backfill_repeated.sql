-- The first row of the backfill $1 whose ID an earlier row has, with the line of that one.
with repeated as (
    select key, min(number) as first
    from penstock.backfill_rows
    where backfill = $1 and row_id is not null
    group by key
    having count(*) > 1
)
select r.row_id, r.line, o.line as first_line
from repeated
join penstock.backfill_rows o on o.backfill = $1 and o.number = repeated.first
join penstock.backfill_rows r
    on r.backfill = $1 and r.key = repeated.key and r.number > repeated.first
order by r.number
limit 1
