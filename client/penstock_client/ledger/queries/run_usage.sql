-- What the calls of the run $1 used and cost, by step.
select j.step, count(*) as calls, sum(a.input_tokens) as input_tokens,
       sum(a.output_tokens) as output_tokens, sum(a.cache_read_tokens) as cache_read_tokens,
       sum(a.cache_write_tokens) as cache_write_tokens, sum(a.reasoning_tokens) as reasoning_tokens,
       bool_or(a.estimated) as estimated, bool_or(a.simulated) as simulated,
       case when bool_and(a.cost_usd is not null) then sum(a.cost_usd) end as cost_usd
from penstock.jobs j
join penstock.attempts a on a.job_id = j.id
where j.owner = $1 and a.state >= 10
group by j.step
