-- A call of a COMPUTE function has failed: $1 run, $2 position, $3 item, $4 our token, $5 why, $6
-- whether it may be tried again. Returns whether that is the end of it.
with noted as (
    update penstock.run_items
    set tries = tries + 1, error = $5, fence = null,
        state = case when $6 and tries + 1 < max_attempts then 4 else 11 end,
        finished_at = case when $6 and tries + 1 < max_attempts then null else now() end,
        due_at = case when $6 and tries + 1 < max_attempts
                      then now() + make_interval(secs => retry_delay_s) end
    where run = $1 and position = $2 and item = $3 and fence = $4
    returning run, state = 11 as ended
), told as (
    insert into penstock.news (owner, subject) select run, run from noted where ended
    on conflict do nothing
)
select ended from noted
