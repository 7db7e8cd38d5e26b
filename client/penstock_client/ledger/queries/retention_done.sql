-- Retention of workspace $1 has come so far in pass $2: $3 finished_at and $4 ID of its last job.
-- Null leaves both as they are. It goes on in $5 seconds.
update penstock.retention
set finished_at = coalesce($3::timestamptz, finished_at), job_id = coalesce($4::uuid, job_id),
    due_at = now() + make_interval(secs => $5::float8)
where workspace = $1 and pass = $2
