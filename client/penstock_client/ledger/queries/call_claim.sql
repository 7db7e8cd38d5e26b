-- Start a call of a COMPUTE function, if it is still to start: $1 run, $2 position, $3 item, $4 how
-- often it was started before, $5 our token, $6 seconds of our lease. Returns what to call it with.
update penstock.run_items i
set fence = $5, starts = i.starts + 1, looks = 0, started_at = now(),
    due_at = now() + make_interval(secs => $6)
from penstock.runs r, penstock.run_steps s
where i.run = $1 and i.position = $2 and i.item = $3 and i.starts = $4
  and i.state = 4 and i.fence is null and i.due_at is not null
  and r.id = i.run and r.state = 4 and s.run = i.run and s.position = i.position
returning i.function, i.input, i.timeout_s, i.starts, i.missing_since, r.workspace, r.skill, s.step,
          r.trace
