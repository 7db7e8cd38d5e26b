-- Why a workspace's jobs ended without an answer, since ID $2: the newest $3 of each kind are counted.
with recursive kinds as (
    (select last_error from penstock.jobs
     where workspace = $1 and finished_at is not null and last_error is not null
     order by last_error limit 1)
    union all
    select (select j.last_error from penstock.jobs j
            where j.workspace = $1 and j.finished_at is not null and j.last_error > kinds.last_error
            order by j.last_error limit 1)
    from kinds
    where kinds.last_error is not null
)
select kinds.last_error as kind, counted.jobs, counted.newest
from kinds
cross join lateral (
    select count(*) as jobs, (array_agg(id))[1] as newest
    from (select id from penstock.jobs j
          where j.workspace = $1 and j.last_error = kinds.last_error and j.id >= $2
            and j.finished_at is not null
          order by id desc
          limit $3) newest
) counted
where kinds.last_error is not null and counted.jobs > 0
order by counted.jobs desc, kinds.last_error
