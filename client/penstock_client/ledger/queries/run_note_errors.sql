-- Keep why items of the run $1 failed: $2 positions, $3 items, $4 messages.
update penstock.run_items i
set error = t.error
from unnest($2::smallint[], $3::integer[], $4::text[]) as t (position, item, error)
where i.run = $1 and i.position = t.position and i.item = t.item
