-- Usage of all workspaces by provider and model, of calls that began from $1 until before $2.
select provider, model, simulated, sum(calls)::bigint as calls, sum(succeeded)::bigint as succeeded,
       sum(failed)::bigint as failed, sum(abandoned)::bigint as abandoned,
       sum(input_tokens)::bigint as input_tokens, sum(output_tokens)::bigint as output_tokens,
       sum(cache_read_tokens)::bigint as cache_read_tokens,
       sum(cache_write_tokens)::bigint as cache_write_tokens,
       sum(reasoning_tokens)::bigint as reasoning_tokens,
       sum(cost_usd)::double precision as cost_usd, sum(unpriced)::bigint as unpriced,
       sum(duration_ms)::bigint as duration_ms
from penstock.usage_hours
where hour >= $1 and hour < $2
group by provider, model, simulated
