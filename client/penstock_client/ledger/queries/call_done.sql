-- A call of a COMPUTE function has given its output: $1 run, $2 position, $3 item, $4 our token,
-- $5 which of its starts it was, $6 output. It counts while nobody else has started it.
with ended as (
    update penstock.run_items
    set state = 10, output = $6, error = null, input = null, finished_at = now(), due_at = null,
        fence = null
    where run = $1 and position = $2 and item = $3 and state = 4 and starts = $5
      and (fence = $4 or fence is null)
    returning run
), told as (
    insert into penstock.news (owner, subject) select run, run from ended on conflict do nothing
)
select run from ended
