-- Lease deliveries that are due: of each workspace $1 at host $2 as many as $3, for $4 seconds.
with due as (
    select d.id
    from unnest($1::text[], $2::text[], $3::integer[]) as r (workspace, host, room)
    cross join lateral (
        select c.id from penstock.deliveries c
        where c.workspace = r.workspace and c.host = r.host and c.next_at <= now()
        order by c.next_at limit r.room
        for update skip locked
    ) d
)
update penstock.deliveries d
set lease = gen_random_uuid(), next_at = now() + make_interval(secs => $4)
from due
where d.id = due.id
returning d.id, d.lease, d.workspace, d.subject, d.sequence, d.type, d.url, d.host, d.occurred_at,
          d.detail, d.body, d.attempts
