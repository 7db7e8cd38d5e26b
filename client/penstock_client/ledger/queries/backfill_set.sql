-- Change the state of the backfill $1: $2 state, $3 reason, $4 whether it has ended.
update penstock.backfills
set state = $2, reason = $3, version = version + 1,
    finished_at = case when $4 then now() end
where id = $1
