-- The functions of calls of the run $1 that wait for a worker.
select distinct function from penstock.run_items
where run = $1 and due_at is not null and fence is null
