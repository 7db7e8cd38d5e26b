-- Where a workspace's live jobs stand, by provider; the first $2 of them are counted.
select provider, count(*) filter (where fence is null) as waiting,
       count(*) filter (where fence is not null) as running,
       min(created_at) filter (where fence is null) as oldest
from (
    select provider, fence, created_at
    from penstock.jobs
    where finished_at is null and workspace = $1
    order by provider, id
    limit $2
) live
group by provider
