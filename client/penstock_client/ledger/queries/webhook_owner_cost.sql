-- What the calls of the jobs of run $1 cost; null where a price is not known.
select case when bool_and(a.cost_usd is not null) then sum(a.cost_usd) end as cost_usd
from penstock.jobs j
join penstock.attempts a on a.job_id = j.id and a.state >= 10
where j.owner = $1
