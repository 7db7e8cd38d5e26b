-- Calls since $1 by provider, of workspace $2 or of all with null.
select provider, sum(calls)::bigint as calls, sum(failed + abandoned)::bigint as failed,
       sum(cost_usd) as cost_usd, sum(unpriced)::bigint as unpriced, bool_or(simulated) as simulated
from penstock.usage_hours
where hour >= $1 and ($2::text is null or workspace = $2)
group by provider
