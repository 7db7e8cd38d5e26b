-- The jobs of items of the run $1 run again: $2 job IDs. Those that have ended are noted at once.
update penstock.run_items
set state = 4, counted = false, error = null, finished_at = null
where run = $1 and job_id = any($2::uuid[])
