-- Start jobs that ended without an answer again, as a new epoch of the same job, on their first
-- route. Attempts keep counting, and what they used goes on counting as used by the job. A result
-- that came without an attempt makes room for the next one: it moves from number 0 below zero.
-- $1 job IDs. Returns where they stand now, with `was_at`, the provider at which each ended; other
-- jobs, and those whose payload is no longer kept, are not returned.
with chosen as (
    select j.id, j.provider as was_at,
           (penstock.routes_of(p.body))[1] as route
    from penstock.jobs j
    join penstock.payloads p on p.job_id = j.id
    where j.id = any($1::uuid[]) and j.state in (11, 12, 13)
    order by j.id
    for update of j
), used as (
    select a.job_id,
           jsonb_build_object(
               'usage', jsonb_build_object(
                   'input_tokens', sum(a.input_tokens), 'output_tokens', sum(a.output_tokens),
                   'cache_read_tokens', sum(a.cache_read_tokens),
                   'cache_write_tokens', sum(a.cache_write_tokens),
                   'reasoning_tokens', sum(a.reasoning_tokens), 'estimated', bool_or(a.estimated)),
               'cost_usd', case when bool_and(a.cost_usd is not null) then sum(a.cost_usd)::text end
           ) as spent
    from penstock.attempts a
    where a.job_id in (select id from chosen) and a.state >= 10
    group by a.job_id
), moved_aside as (
    update penstock.answers a
    set number = (select min(b.number) - 1 from penstock.answers b where b.job_id = a.job_id)
    where a.job_id in (select id from chosen) and a.number = 0
), again as (
    update penstock.jobs j
    set state = 1, fence = null, tries = 0, crashes = 0, answer = null, last_error = null,
        started_at = null, finished_at = null, available_at = null,
        deadline = case when j.deadline > now() then j.deadline end,
        wait_until = now() + make_interval(secs => j.max_queue_wait_s),
        spent = used.spent,
        placement_version = j.placement_version + 1,
        provider = split_part(chosen.route, '/', 1),
        model = substr(chosen.route, strpos(chosen.route, '/') + 1)
    from chosen
    left join used on used.job_id = chosen.id
    where j.id = chosen.id
    returning j.id, j.workspace, j.provider, j.model, j.state, j.lane, j.placement_version,
              j.input_tokens_est, j.output_tokens_est, j.fence, j.capability, j.limit_tag, j.configuration,
              0::bigint as wait_ms, chosen.was_at
), pending as (
    insert into penstock.submissions (first_id, last_id, due_at)
    select id, id, now() + interval '5 seconds' from again
    on conflict do nothing
)
select * from again
