-- The rows of those of the jobs $2 of the backfill $1 that have ended, with what the jobs' calls came
-- to, and the answers to several rows.
select c.job_id, c.held_usd, c.open, cardinality(c.numbers) as size, n.place, r.number,
       r.state as row_state, r.copies, r.error as row_error, r.cost_usd as row_cost_usd,
       r.input_tokens as row_input_tokens, r.output_tokens as row_output_tokens,
       r.attempts as row_attempts, octet_length(r.input) as bytes,
       j.state, j.last_error, u.calls, u.input_tokens, u.output_tokens, u.cost_usd, u.simulated,
       u.call_ms,
       case when cardinality(c.numbers) > 1 then (
           select a.body from penstock.answers a where a.job_id = j.id and a.number = j.answer
       ) end as body
from penstock.backfill_calls c
join penstock.jobs j on j.id = c.job_id
cross join lateral unnest(c.numbers) with ordinality n (number, place)
join penstock.backfill_rows r on r.backfill = c.backfill and r.number = n.number
cross join lateral (
    select count(*)::integer as calls, coalesce(sum(a.input_tokens), 0)::integer as input_tokens,
           coalesce(sum(a.output_tokens), 0)::integer as output_tokens,
           coalesce(bool_or(a.simulated), false) as simulated,
           coalesce(sum(a.duration_ms), 0)::bigint as call_ms,
           case when coalesce(bool_and(a.cost_usd is not null), true)
                then coalesce(sum(a.cost_usd), 0) end as cost_usd
    from penstock.attempts a
    where a.job_id = c.job_id and a.state >= 10
) u
where c.job_id = any($2::uuid[]) and c.backfill = $1 and j.finished_at is not null
order by c.job_id, n.place
