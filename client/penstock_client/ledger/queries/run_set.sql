-- The run $1 has changed: $2 its state, $3 why it failed, $4 its output, $5 whether what it has
-- begun is to be cancelled. When it ends, retention has to look again at what it held meanwhile.
with changed as (
    update penstock.runs
    set state = $2::smallint, error = $3, output = $4, stopping = $5, version = version + 1,
        finished_at = case when $2::smallint >= 10 then now() end, kept = true
    where id = $1
    returning workspace, created_at, finished_at
)
update penstock.retention r
set finished_at = c.created_at, job_id = '00000000-0000-0000-0000-000000000000'
from changed c
where r.workspace = c.workspace and c.finished_at is not null and r.finished_at >= c.created_at
