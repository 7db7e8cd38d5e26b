-- Let the backfill $1 go on, with its ceilings ($2 money, $3 error rate) and its window $4.
update penstock.backfills
set state = 4, reason = null, finished_at = null, sampling = false, fed_all = false, recent = '[]',
    max_cost_usd = $2, max_error_rate = $3, row_window = $4, version = version + 1
where id = $1
