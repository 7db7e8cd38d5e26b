-- Let the run $1 go on: items of the steps $2 (positions) that did not succeed start again. Those
-- that had not ended when the run did are left as they are.
with again as (
    update penstock.run_items
    set state = 1, counted = false, error = null, finished_at = null, due_at = null, fence = null
    where run = $1 and position = any($2::smallint[]) and state in (11, 12)
), told as (
    insert into penstock.news (owner, subject) values ($1, $1) on conflict do nothing
)
update penstock.runs
set state = 4, epoch = epoch + 1, version = version + 1, stopping = false, error = null,
    output = null, finished_at = null
where id = $1
