-- Close the calls of jobs that were just ended, in the same transaction, by somebody else than their
-- worker: each may have been paid, and counts as what it reserved until its worker settles it. A
-- statement of its own, so that it sees a call that was opened while the job's lock was waited for.
-- $1 job IDs. Returns what all calls of each job used, of those that made any.
with calls as materialized (
    select a.job_id, a.number, a.state = 1 as is_open,
           case when a.state = 1 then coalesce(a.hold_input_tokens, j.input_tokens_est)
                else a.input_tokens end as input_tokens,
           case when a.state = 1 then coalesce(a.hold_output_tokens, j.output_tokens_est)
                else a.output_tokens end as output_tokens,
           a.cache_read_tokens, a.cache_write_tokens, a.reasoning_tokens,
           a.estimated or a.state = 1 as estimated,
           case when a.state = 1 then a.hold_usd else a.cost_usd end as cost_usd
    from penstock.jobs j
    join penstock.attempts a on a.job_id = j.id
    where j.id = any($1::uuid[]) and case when a.state = 2 then false else true end
), closed as (
    update penstock.attempts a
    set state = 12, finished_at = now(), estimated = true, error_kind = 'interrupted',
        error_message = 'the job was ended while the call was open; it may have been paid',
        input_tokens = calls.input_tokens, output_tokens = calls.output_tokens,
        cost_usd = calls.cost_usd
    from calls
    where calls.is_open and a.job_id = calls.job_id and a.number = calls.number
      and case a.state when 1 then true else false end
)
select job_id,
       jsonb_build_object(
           'usage', jsonb_build_object(
               'input_tokens', sum(input_tokens), 'output_tokens', sum(output_tokens),
               'cache_read_tokens', sum(cache_read_tokens),
               'cache_write_tokens', sum(cache_write_tokens),
               'reasoning_tokens', sum(reasoning_tokens), 'estimated', bool_or(estimated)),
           'cost_usd', case when bool_and(cost_usd is not null) then sum(cost_usd)::text end
       ) as spent
from calls
group by job_id
