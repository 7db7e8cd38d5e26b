-- Have the rows $2 of the backfill $1 asked alone.
with waiting as (
    update penstock.backfill_rows set state = 1
    where backfill = $1 and number = any($2::bigint[]) and state = 4
)
insert into penstock.backfill_again (backfill, number, alone)
select $1, unnest($2::bigint[]), true
on conflict (backfill, number) do update set alone = true
