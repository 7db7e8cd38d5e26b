-- Items of the run $1 that a COMPUTE function is called for: $2 position, $3 items, $4 arguments
-- (null with a message $5 for one that failed before), $6 function, $7 max_attempts, $8 timeout_s,
-- $9 retry_delay_s. They are put into their queue by whoever looks next at what is due.
insert into penstock.run_items (run, position, item, state, function, input, error, finished_at,
                                max_attempts, timeout_s, retry_delay_s, due_at)
select $1, $2, t.item, case when t.input is null then 11 else 4 end, $6, t.input, t.error,
       case when t.input is null then now() end, $7, $8, $9,
       case when t.input is not null then now() end
from unnest($3::integer[], $4::bytea[], $5::text[]) as t (item, input, error)
on conflict (run, position, item) do update
set state = excluded.state, counted = false, input = excluded.input, error = excluded.error,
    finished_at = excluded.finished_at, due_at = excluded.due_at, tries = 0, crashes = 0,
    looks = 0, fence = null, missing_since = null
