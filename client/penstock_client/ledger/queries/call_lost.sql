-- A call of a COMPUTE function that lost too many workers has failed: $1 run, $2 position, $3 item,
-- $4 why.
with ended as (
    update penstock.run_items
    set state = 11, error = $4, finished_at = now(), due_at = null
    where run = $1 and position = $2 and item = $3 and state = 4 and fence is null
    returning run
)
insert into penstock.news (owner, subject) select run, run from ended on conflict do nothing
