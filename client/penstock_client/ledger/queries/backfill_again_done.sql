-- Rows $2 of the backfill $1 are asked now, before their turn.
with gone as (
    delete from penstock.backfill_again where backfill = $1 and number = any($2::bigint[])
)
update penstock.backfill_rows set state = 4
where backfill = $1 and number = any($2::bigint[]) and state = 1
