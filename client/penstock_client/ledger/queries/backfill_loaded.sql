-- Count rows that were loaded into the backfill $1: $2 all of them, $3 those that cannot be asked.
update penstock.backfills
set loaded = loaded + $2, invalid = invalid + $3, version = version + 1
where id = $1
