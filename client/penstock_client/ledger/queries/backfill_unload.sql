-- Forget the rows that were loaded into the backfill $1.
with gone as (delete from penstock.backfill_rows where backfill = $1)
update penstock.backfills set loaded = 0, invalid = 0, version = version + 1 where id = $1
