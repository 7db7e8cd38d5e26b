-- A workspace's jobs that have not ended, oldest first. The rest choose, null is any: $2 state,
-- $3 capability, $4 skill, $5 provider; $6 how many.
select id
from penstock.jobs
where finished_at is null
  and workspace = $1
  and ($2::smallint is null or state = $2)
  and ($3::text is null or capability = $3)
  and ($4::text is null or skill = $4)
  and ($5::text is null or provider = $5)
order by id
limit $6
