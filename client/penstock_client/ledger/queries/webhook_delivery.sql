-- One delivery: $1 its ID.
select d.id, d.workspace, d.subject, d.sequence, d.type, d.url, d.occurred_at, d.state, d.attempts,
       d.next_at, d.lease is not null and d.next_at > now() as sending, d.last_status, d.last_error,
       d.last_attempt_at, d.finished_at, d.body, s.known, s.problem
from penstock.deliveries d
left join lateral (
    select true as known, max(problem) as problem
    from penstock.webhook_secrets
    where workspace = d.workspace and (expires_at is null or expires_at > now())
    having count(*) > 0
) s on true
where d.id = $1
