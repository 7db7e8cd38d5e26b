-- What failed of the newest $2 calls of the last hour, by provider and kind of error; of workspace $1
-- or of all with null.
select provider, coalesce(error_kind, 'unknown') as kind, count(*) as calls
from (
    select provider, error_kind, state
    from penstock.attempts
    where job_id >= penstock.first_id_at(now() - interval '1 hour')
      and ($1::text is null or workspace = $1)
    order by job_id desc
    limit $2
) recent
where state in (11, 12)
group by 1, 2
order by 3 desc, 2
