-- Open the attempts of one claim: one row each before any request is sent, and the payloads back.
-- A job is ours when nobody holds it (its fence is null), or when its fence is the token of a lease
-- that the index saw lapse, and it has not been moved. The attempt of a lapsed lease may have been
-- paid: it is abandoned, with the estimate as its possible cost. Other jobs are not returned.
-- $1 job IDs, $2 lapsed fences or null, $3 placement versions, $4 cost if paid of the abandoned
-- attempt in USD or null, $5 our fence, $6 provider, $7 worker.
with input as (
    select * from unnest($1::uuid[], $2::bigint[], $3::smallint[], $4::numeric[])
        as t (id, lapsed, placement, possible_cost)
), mine as (
    update penstock.jobs j
    set state = 4, fence = $5, attempts = j.attempts + 1,
        crashes = j.crashes + case when j.fence = input.lapsed then 1 else 0 end,
        started_at = coalesce(j.started_at, now()), wait_until = null
    from input
    where j.id = input.id
      and (j.fence is null or j.fence = input.lapsed)
      and j.placement_version = input.placement
    returning j.id, j.workspace, j.model, j.attempts, j.tries, j.crashes, j.created_at, j.deadline,
              j.last_error, j.spent, j.input_tokens_est, j.output_tokens_est,
              input.lapsed, input.possible_cost
), abandoned as (
    update penstock.attempts a
    set state = 12, finished_at = now(), estimated = true, error_kind = 'interrupted',
        error_message = 'the worker was lost while the call was open; it may have been paid',
        input_tokens = mine.input_tokens_est, output_tokens = mine.output_tokens_est,
        cost_usd = mine.possible_cost
    from mine
    where mine.lapsed is not null
      and a.job_id = mine.id and a.fence = mine.lapsed
      and case a.state when 1 then true else false end
    returning a.job_id, a.workspace, a.input_tokens::bigint + a.output_tokens as tokens
), earlier as (
    -- A lost attempt left nothing in the job's row: what came before it is summed up anew.
    select a.job_id,
           jsonb_build_object(
               'usage', jsonb_build_object(
                   'input_tokens', sum(a.input_tokens), 'output_tokens', sum(a.output_tokens),
                   'cache_read_tokens', sum(a.cache_read_tokens),
                   'cache_write_tokens', sum(a.cache_write_tokens),
                   'reasoning_tokens', sum(a.reasoning_tokens), 'estimated', bool_or(a.estimated)),
               'cost_usd', case when bool_and(a.cost_usd is not null) then sum(a.cost_usd)::text end
           ) as spent
    from mine
    join penstock.attempts a on a.job_id = mine.id
    where mine.lapsed is not null and case when a.state >= 10 then true else false end
    group by a.job_id
), opened as (
    insert into penstock.attempts (job_id, number, workspace, provider, model, worker, fence, state)
    select id, attempts, workspace, $6, model, $7, $5, 1 from mine
), losers as (
    select c.workspace_id, lost.tokens
    from (select workspace, sum(tokens)::bigint as tokens from abandoned group by 1) lost
    join penstock.llm_configs c on c.workspace_id = lost.workspace
    order by c.workspace_id
    for update of c
), counted as (
    update penstock.llm_configs c
    set tokens_used_this_month = case when c.budget_reset_at > now()
            then c.tokens_used_this_month + losers.tokens else losers.tokens end,
        budget_reset_at = case when c.budget_reset_at > now() then c.budget_reset_at
            else (date_trunc('month', now() at time zone 'utc') + interval '1 month')
                 at time zone 'utc' end
    from losers
    where c.workspace_id = losers.workspace_id
)
select mine.id, mine.workspace, mine.model, mine.attempts as number, mine.tries, mine.crashes,
       mine.created_at, mine.deadline, mine.last_error,
       case when earlier.spent is null then mine.spent
            else coalesce(mine.spent, '{}') || earlier.spent end as spent,
       p.body,
       abandoned.job_id is not null as lost_one,
       coalesce(c.tokens_used_this_month >= c.default_token_budget and c.budget_reset_at > now(),
                false) as over_budget
from mine
left join penstock.payloads p on p.job_id = mine.id
left join abandoned on abandoned.job_id = mine.id
left join earlier on earlier.job_id = mine.id
left join penstock.llm_configs c on c.workspace_id = mine.workspace
