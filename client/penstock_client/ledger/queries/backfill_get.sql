-- Backfills by ID.
select * from penstock.backfills where id = any($1::uuid[])
