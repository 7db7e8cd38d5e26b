-- Open the attempts of one claim: one row each before any request is sent, and the payloads back.
--
-- A job is ours when nobody holds it (its fence is null), or when its fence is the token of a lease
-- that the index saw lapse, and it has not been moved. The attempt of a lapsed lease may have been
-- paid: it is abandoned, as what it reserved. Other jobs are not returned.
--
-- An attempt reserves what it may use of its workspace's tokens and of its configuration's money,
-- under locks on both: hard budgets the most that it can use, soft ones what such calls mostly use at
-- most. Where a hard budget has no room for the most, the answers of this batch are held to the
-- length that is likely (`output_cap`). Jobs that find no room are returned with the budget that
-- `lacks` it: not opened while they may wait for it (`opened` is false), opened without a reservation
-- where they may not, so that the worker can end them.
-- $1 job IDs in order, $2 lapsed fences or null, $3 placement versions, $4 input and $5 output tokens
-- that are likely or null, $6 models with $7 and $8 the prices of an input and an output token in USD
-- or null, $9 our fence, $10 provider, $11 worker.
with input as (
    select *
    from unnest($1::uuid[], $2::bigint[], $3::smallint[], $4::integer[], $5::integer[])
        with ordinality as t (id, lapsed, placement, likely_input, likely_output, place)
), standing as (
    select input.*, price.input_price, price.output_price, j.workspace, j.configuration, j.configuration <> 'key-check' as counts,
           -- A token has a byte at least, and an estimated one stands for four. What a repair shows
           -- again comes on top.
           4 * j.input_tokens_est + 64 + coalesce(octet_length((j.spent -> 'repair')::text), 0)
               as most_input,
           greatest(likely_input, j.input_tokens_est)
               + coalesce(octet_length((j.spent -> 'repair')::text), 0) / 4 as usual_input,
           -- An answer that was cut off may be twice as long the next time.
           case when j.last_error = 'length' then 2 else 1 end * j.output_tokens_est as most_output,
           case when j.last_error is distinct from 'length' then likely_output end as long_output
    from input
    join penstock.jobs j on j.id = input.id
    left join unnest($6::text[], $7::numeric[], $8::numeric[])
        as price (model, input_price, output_price) on price.model = j.model
    where (j.fence is null or j.fence = input.lapsed) and j.placement_version = input.placement
), locked as materialized (
    select workspace_id, default_token_budget as budget, tokens_held as held,
           case when budget_reset_at > now() then tokens_used_this_month else 0 end as used
    from penstock.llm_configs
    where default_token_budget is not null
      and workspace_id in (select workspace from standing where counts)
    order by workspace_id
    for update
), locked_money as materialized (
    select workspace_id, name, daily_usd, monthly_usd, allow_unpriced, usd_held as held,
           case when day_resets_at > now() then usd_today else 0 end as today,
           case when month_resets_at > now() then usd_this_month else 0 end as this_month
    from penstock.llm_configurations
    where (daily_usd is not null or monthly_usd is not null)
      and (workspace_id, name) in (select workspace, configuration from standing where counts)
    order by workspace_id, name
    for update
), wanted as materialized (
    select standing.*, w.budget_mode = 'hard' as hard, w.on_budget = 'wait' as may_wait,
           t.budget, t.used, t.held,
           m.name is not null as by_money, m.held as usd_held,
           least(m.daily_usd - m.today, m.monthly_usd - m.this_month) as usd_left,
           case when m.daily_usd - m.today <= m.monthly_usd - m.this_month or m.monthly_usd is null
                then 'daily_usd' else 'monthly_usd' end as tighter,
           m.name is not null and not m.allow_unpriced
               and (input_price is null or output_price is null) as unpriced,
           case when w.budget_mode = 'hard' then most_input else usual_input end as hold_input,
           case when w.budget_mode = 'hard' and most_output > 0 then greatest(most_output, 16)
                else least(long_output, most_output) end as full_output, -- no wire asks for less
           case when w.budget_mode = 'hard' and most_output > 0
                then greatest(least(long_output * 5 / 4 + 16, most_output), 16)
                else least(long_output, most_output) end as least_output
    from standing
    left join penstock.llm_configs w on w.workspace_id = standing.workspace
    left join locked t on t.workspace_id = standing.workspace and counts
    left join locked_money m
        on m.workspace_id = standing.workspace and m.name = standing.configuration and counts
), weighed as materialized (
    select wanted.*,
           coalesce(
               held + used + sum(hold_input::bigint + full_output) over of_workspace > budget
               or usd_held + sum(hold_input * input_price + full_output * output_price)
                      over of_configuration > usd_left, false) as tight
    from wanted
    where budget is not null or by_money
    window of_workspace as (partition by workspace, counts),
           of_configuration as (partition by workspace, configuration)
), chosen as (
    select weighed.*,
           case when bool_or(tight) over (partition by workspace) then least_output
                else full_output end as hold_output
    from weighed
), priced as (
    select chosen.*, hold_input * input_price + hold_output * output_price as hold_usd,
           -- No room, not even once all calls under way have given back what they do not use.
           unpriced or coalesce(used + hold_input + hold_output > budget, false)
               or coalesce(hold_input * input_price + hold_output * output_price > usd_left, false)
               as hopeless
    from chosen
), judged as (
    select priced.*,
           case
               when unpriced then 'price'
               when coalesce(hopeless and used + hold_input + hold_output > budget, false)
                   or used + held + sum(hold_input::bigint + hold_output)
                          filter (where not hopeless) over of_workspace > budget
                   then 'tokens'
               when hopeless
                   or usd_held + sum(hold_usd) filter (where not hopeless) over of_configuration
                      > usd_left
                   then tighter
           end as lacks
    from priced
    window of_workspace as (partition by workspace, counts order by place),
           of_configuration as (partition by workspace, configuration order by place)
), ruled as materialized (
    select id, place, lapsed, placement, workspace, configuration, counts, hard, may_wait, budget,
           used, held, by_money, usd_left, usd_held, most_output, hold_input, hold_output, hold_usd,
           lacks, lacks is not null and (may_wait and not unpriced or not hopeless) as postponed
    from judged
    union all
    select id, place, lapsed, placement, workspace, configuration, counts, hard, may_wait, budget,
           used, held, by_money, usd_left, usd_held, most_output, hold_input, full_output,
           hold_input * input_price + full_output * output_price, null, false
    from wanted
    where budget is null and not by_money
), mine as (
    -- A postponed job whose lease lapsed is free from here on: what its lost call reserved counts as
    -- used, or jobs without room would wait for it for ever.
    update penstock.jobs j
    set state = case when ruled.postponed then 1 else 4 end,
        fence = case when ruled.postponed then null else $9::bigint end,
        attempts = j.attempts + case when ruled.postponed then 0 else 1 end,
        crashes = j.crashes + case when j.fence = ruled.lapsed then 1 else 0 end,
        started_at = case when ruled.postponed then j.started_at
                          else coalesce(j.started_at, now()) end,
        wait_until = case when ruled.postponed
                          then now() + make_interval(secs => j.max_queue_wait_s) end
    from ruled
    where j.id = ruled.id and (ruled.lapsed is not null or not ruled.postponed)
      and (j.fence is null or j.fence = ruled.lapsed)
      and j.placement_version = ruled.placement
    returning j.id, j.workspace, j.model, j.attempts, j.tries, j.crashes, j.created_at, j.deadline,
              j.last_error, j.spent, j.trace, j.input_tokens_est, j.output_tokens_est,
              j.configuration, ruled.lapsed, ruled.lacks, ruled.postponed,
              ruled.hold_input, ruled.hold_output, ruled.hold_usd,
              ruled.budget is not null or ruled.by_money as is_bounded,
              case when ruled.lacks is not null or not ruled.counts then 0
                   else case when ruled.budget is null then 0 else 1 end
                      + case when ruled.by_money and ruled.hold_usd is not null then 2 else 0 end
              end as reserves
), abandoned as (
    update penstock.attempts a
    set state = 12, finished_at = now(), estimated = true, error_kind = 'interrupted',
        error_message = 'the worker was lost while the call was open; it may have been paid',
        input_tokens = coalesce(a.hold_input_tokens, mine.input_tokens_est),
        output_tokens = coalesce(a.hold_output_tokens, mine.output_tokens_est),
        cost_usd = a.hold_usd
    from mine
    where mine.lapsed is not null
      and a.job_id = mine.id and a.fence = mine.lapsed
      and case a.state when 1 then true else false end
    returning a.job_id, a.input_tokens, a.output_tokens, a.cost_usd
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
    where mine.crashes > 0 and case when a.state >= 10 then true else false end
    group by a.job_id
), keyed as (
    select mine.*, k.sealed,
           case when mine.configuration = 'key-check' then 'key-check' -- it brings its own
                else coalesce(k.fingerprint, 'platform') end as credential
    from mine
    left join penstock.llm_configurations c
        on c.workspace_id = mine.workspace and c.name = mine.configuration
    left join penstock.provider_keys k
        on k.workspace_id = mine.workspace and k.provider = $10 and coalesce(c.own_keys, true)
        and mine.configuration <> 'key-check'
), opened as (
    insert into penstock.attempts (
        job_id, number, workspace, provider, model, worker, fence, state, configuration, credential,
        hold_input_tokens, hold_output_tokens, hold_usd, reserves)
    select id, attempts, workspace, $10, model, $11, $9, 1, configuration, credential, hold_input,
           hold_output, hold_usd, reserves
    from keyed
    where not postponed
), held_tokens as (
    update penstock.llm_configs c
    set tokens_held = c.tokens_held + mine.held
    from (select workspace, sum(hold_input::bigint + hold_output) as held
          from mine where reserves & 1 = 1 group by 1) mine
    where c.workspace_id = mine.workspace
), held_money as (
    update penstock.llm_configurations c
    set usd_held = c.usd_held + mine.held
    from (select workspace, configuration, sum(hold_usd) as held
          from mine where reserves & 2 = 2 group by 1, 2) mine
    where c.workspace_id = mine.workspace and c.name = mine.configuration
)
select ruled.id, not ruled.postponed as opened, ruled.workspace, ruled.configuration, ruled.lacks,
       keyed.model, keyed.attempts as number, keyed.tries, keyed.crashes, keyed.created_at,
       keyed.deadline, keyed.last_error, keyed.trace,
       case when earlier.spent is null then keyed.spent
            else coalesce(keyed.spent, '{}') || earlier.spent end as spent,
       p.body,
       abandoned.job_id is not null as lost_one,
       abandoned.input_tokens as lost_input, abandoned.output_tokens as lost_output,
       abandoned.cost_usd as lost_usd,
       ruled.hold_input, ruled.hold_output,
       case when ruled.by_money then ruled.hold_usd end as hold_usd,
       case when ruled.hard and keyed.is_bounded then ruled.hold_output end as output_cap,
       ruled.hold_output < ruled.most_output as is_short,
       keyed.sealed, keyed.credential,
       ruled.budget - ruled.used as tokens_left,
       ruled.budget - ruled.used - ruled.held as tokens_free,
       ruled.usd_left, ruled.usd_left - ruled.usd_held as usd_free,
       ruled.hard, ruled.may_wait
from ruled
left join keyed on keyed.id = ruled.id
left join penstock.payloads p on p.job_id = keyed.id
left join abandoned on abandoned.job_id = keyed.id
left join earlier on earlier.job_id = keyed.id
where keyed.id is not null or ruled.postponed
