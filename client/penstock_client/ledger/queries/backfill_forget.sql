-- Forget the backfill $1, which was never committed, with its rows.
with gone as (delete from penstock.backfill_rows where backfill = $1)
delete from penstock.backfills where id = $1 and state = 1
