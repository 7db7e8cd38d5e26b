-- Calls, tokens and cost of a workspace by provider and model, from $2 on.
select provider, model, count(*) as calls,
       count(*) filter (where state = 10) as succeeded,
       count(*) filter (where state = 12) as abandoned,
       sum(input_tokens)::bigint as input_tokens, sum(output_tokens)::bigint as output_tokens,
       sum(cost_usd) as cost_usd,
       count(*) filter (where cost_usd is null) as unpriced,
       bool_or(simulated) as simulated
from penstock.attempts
where workspace = $1 and state >= 10 and started_at >= $2
group by provider, model
order by provider, model
