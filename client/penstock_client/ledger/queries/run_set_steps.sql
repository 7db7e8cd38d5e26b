-- How steps of the run $1 stand now: $2 positions, $3 states, $4 items, $5 begun, $6 succeeded,
-- $7 failed, $8 errors.
update penstock.run_steps s
set state = t.state, items = t.items, begun = t.begun, succeeded = t.succeeded, failed = t.failed,
    error = t.error,
    started_at = case when t.state > 1 and t.state <> 13 then coalesce(s.started_at, now()) end,
    finished_at = case when t.state >= 10 then coalesce(s.finished_at, now()) end
from unnest($2::smallint[], $3::smallint[], $4::integer[], $5::integer[], $6::integer[],
            $7::integer[], $8::text[])
    as t (position, state, items, begun, succeeded, failed, error)
where s.run = $1 and s.position = t.position
