-- A workspace's runs, newest first: $1 workspace, $2 state, $3 skill, $4 the last ID seen, $5 limit.
select r.id, r.workspace, r.skill, r.state, r.error, r.created_at, r.finished_at, s.steps, s.ended
from (
    select * from penstock.runs r
    where r.workspace = $1 and ($2::smallint is null or r.state = $2)
      and ($3::text is null or r.skill = $3) and ($4::uuid is null or r.id < $4)
    order by r.id desc
    limit $5
) r
cross join lateral (
    select count(*) as steps, count(*) filter (where state >= 10) as ended
    from penstock.run_steps where run = r.id
) s
order by r.id desc
