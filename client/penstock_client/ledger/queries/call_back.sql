-- Give back a call of a COMPUTE function that was not made: $1 run, $2 position, $3 item, $4 our
-- token, $5 seconds until it is offered again, $6 whether its module lacked the function. Returns
-- since when it does, in seconds.
update penstock.run_items
set fence = null, due_at = now() + make_interval(secs => $5),
    missing_since = case when $6 then coalesce(missing_since, now()) end
where run = $1 and position = $2 and item = $3 and fence = $4
returning extract(epoch from now() - missing_since)::float8 as missing_s
