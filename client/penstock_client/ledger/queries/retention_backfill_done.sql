-- Retention of the backfill $1 has come to the job $2 and the row number $3.
update penstock.backfills set stripped = $2, stripped_rows = $3, version = version + 1
where id = $1
