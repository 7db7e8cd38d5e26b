-- Deliveries that were given up within a day, that have been due for over a minute, and why by what
-- is known of the workspaces' secrets.
select (select count(*) from penstock.deliveries
        where state = 11 and finished_at > now() - interval '1 day') as given_up,
       count(*) as late,
       count(*) filter (where s.known is null) as without_secret,
       max(s.problem) as problem
from penstock.deliveries d
left join lateral (
    select true as known, max(problem) as problem
    from penstock.webhook_secrets
    where workspace = d.workspace and (expires_at is null or expires_at > now())
    having count(*) > 0
) s on true
where d.next_at < now() - interval '1 minute'
