-- Have $2 rows of the backfill $1 asked before the others, spread evenly over those to be asked.
insert into penstock.backfill_again (backfill, number)
select $1, number
from (
    select number, row_number() over (order by number) - 1 as place, count(*) over () as rows
    from penstock.backfill_rows
    where backfill = $1 and state = 1 and first is null
) askable
where (place + 1) * least($2, rows) / rows > place * least($2, rows) / rows
on conflict do nothing
