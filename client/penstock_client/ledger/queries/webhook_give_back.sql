-- End the leases $2 of deliveries $1 without an attempt; they are due again in $3 seconds.
update penstock.deliveries d
set lease = null, next_at = now() + make_interval(secs => $3)
from unnest($1::uuid[], $2::uuid[]) as t (id, lease)
where d.id = t.id and d.lease = t.lease
