-- Sum up the calls of the workspace $1 by the hour, as settlements would have.
insert into penstock.usage_hours
select workspace, date_trunc('hour', started_at, 'UTC'), configuration, capability,
       coalesce(skill, ''), coalesce(step, ''), coalesce(agent, ''), coalesce(task_type, ''),
       provider, model, simulated, count(*), count(*) filter (where state = 10),
       count(*) filter (where state = 11), count(*) filter (where state = 12),
       sum(input_tokens), sum(output_tokens), sum(cache_read_tokens), sum(cache_write_tokens),
       sum(reasoning_tokens), coalesce(sum(cost_usd), 0), count(*) filter (where cost_usd is null),
       coalesce(sum(duration_ms), 0)
from penstock.usage
where workspace = $1
group by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
order by 1, 2
