-- How often backfills were changed, to see whether one was.
select id, version, state from penstock.backfills where id = any($1::uuid[])
