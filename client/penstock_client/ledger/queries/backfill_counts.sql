-- What a look at the backfill $1 came to.
update penstock.backfills
set state = $2, reason = $3, fed = $4, fed_all = $5, under_way = $6, succeeded = $7, failed = $8,
    invalid = $9, calls = $10, input_tokens = $11, output_tokens = $12, cost_usd = $13,
    cost_unknown = $14, simulated = $15, call_ms = $16, held_usd = $17, errors = $18::json,
    recent = $19::json, fit = $20::json, version = version + 1,
    finished_at = case when $2::smallint >= 10 then coalesce(finished_at, now()) end
where id = $1
