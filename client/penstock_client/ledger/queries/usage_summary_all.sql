-- Usage of all workspaces together, of the hours that overlap $2 until before $3; everything else as
-- in usage_summary, but that days are those of the time zone $1.
with summed as materialized (
    select case when $4::boolean then (hour at time zone $1::text)::date end as day,
           case when $5::boolean then hour end as hour,
           case when $6::boolean then configuration end as configuration,
           case when $7::boolean then capability end as capability,
           case when $8::boolean then skill end as skill,
           case when $9::boolean then step end as step,
           case when $10::boolean then agent end as agent,
           case when $11::boolean then task_type end as task_type,
           case when $12::boolean then provider end as provider,
           case when $13::boolean then model end as model,
           sum(calls)::bigint as calls, sum(succeeded)::bigint as succeeded,
           sum(failed)::bigint as failed, sum(abandoned)::bigint as abandoned,
           sum(input_tokens)::bigint as input_tokens, sum(output_tokens)::bigint as output_tokens,
           sum(cache_read_tokens)::bigint as cache_read_tokens,
           sum(cache_write_tokens)::bigint as cache_write_tokens,
           sum(reasoning_tokens)::bigint as reasoning_tokens,
           sum(cost_usd) as cost_usd, sum(unpriced)::bigint as unpriced,
           coalesce(sum(calls) filter (where simulated), 0)::bigint as simulated,
           sum(duration_ms)::bigint as duration_ms
    from penstock.usage_hours
    where hour > $2::timestamptz - interval '1 hour'
      and hour < coalesce($3::timestamptz, 'infinity')
      and ($14::boolean
           or (($15::text[] is null or configuration = any($15))
               and ($16::text[] is null or capability = any($16))
               and ($17::text[] is null or skill = any($17))
               and ($18::text[] is null or step = any($18))
               and ($19::text[] is null or agent = any($19))
               and ($20::text[] is null or task_type = any($20))
               and ($21::text[] is null or provider = any($21))
               and ($22::text[] is null or model = any($22) or provider || '/' || model = any($22))))
    group by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
)
select * from summed
where calls > 0
order by day, hour, cost_usd desc, calls desc, configuration, capability, skill, step, agent,
         task_type, provider, model
