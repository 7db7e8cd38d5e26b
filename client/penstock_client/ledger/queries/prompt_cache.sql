-- Prompt caching by provider, model and system prompt, from $2 on; of workspace $1, or of all with
-- null. Counts calls that the provider gave figures for. Jobs that did not ask for caching are one
-- line for each model (its hash is null), where a call of theirs read from the cache all the same.
select a.provider, a.model, j.system_hash, count(*) as calls,
       count(*) filter (where a.cache_read_tokens > 0) as hits,
       sum(a.input_tokens)::bigint as input_tokens,
       sum(a.cache_read_tokens)::bigint as read_tokens,
       sum(a.cache_write_tokens)::bigint as written_tokens,
       bool_or(a.simulated) as simulated,
       min(a.started_at) as first_used_at, max(a.started_at) as last_used_at
from penstock.attempts a
left join penstock.jobs j on j.id = a.job_id
where ($1::text is null or a.workspace = $1) and a.state >= 10 and a.started_at >= $2
  and a.input_tokens > 0 and not a.estimated
group by a.provider, a.model, j.system_hash
having j.system_hash is not null or sum(a.cache_read_tokens) > 0
order by a.provider, a.model, j.system_hash nulls last
