-- Renew leases for $5 seconds: $1 runs, $2 positions, $3 items, $4 our tokens. Returns those tokens
-- that still hold their call.
update penstock.run_items i
set due_at = now() + make_interval(secs => $5)
from unnest($1::uuid[], $2::smallint[], $3::integer[], $4::bigint[]) as t (run, position, item, fence)
where i.run = t.run and i.position = t.position and i.item = t.item and i.fence = t.fence
returning i.fence
