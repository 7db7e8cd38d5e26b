-- Deliveries of workspace $1, the newest first: those in state $2, of subject $3, before ID $4 (each
-- null: any), $5 of them.
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
where d.workspace = $1
  and ($2::smallint is null or d.state = $2)
  and ($3::uuid is null or d.subject = $3)
  and ($4::uuid is null or d.id < $4)
order by d.id desc
limit $5
