-- Settle a group of attempts of different jobs in one transaction; safe to repeat.
-- Usage is written once for each attempt, and counted by the trigger on `attempts`. A job takes our decision when it is still ours, or when
-- we bring a valid answer and it has none yet, whoever holds it now. An answer that comes too late
-- is kept with the job all the same. Returns the jobs that took the decision.
-- $3 our fences; $4 what became of the attempt; $19 the job's next state, $20 1 when the try
-- counts, $21 ms to wait, $22 provider and $23 model to go on with, $24 usage so far, $25 result.
with input as (
    select * from unnest(
        $1::uuid[], $2::integer[], $3::bigint[], $4::smallint[], $5::integer[], $6::smallint[],
        $7::text[], $8::text[], $9::text[], $10::text[], $11::integer[], $12::integer[],
        $13::integer[], $14::integer[], $15::integer[], $16::boolean[], $17::numeric[],
        $18::boolean[], $19::smallint[], $20::smallint[], $21::bigint[], $22::text[], $23::text[],
        $24::jsonb[], $25::bytea[]
    ) as t (job_id, number, fence, attempt_state, duration_ms, http_status, finish_reason,
            error_kind, error_code, error_message, input_tokens, output_tokens, cache_read_tokens,
            cache_write_tokens, reasoning_tokens, estimated, cost_usd, simulated, state, charge,
            wait_ms, provider, model, spent, body)
), closed as (
    update penstock.attempts a
    set state = input.attempt_state, finished_at = now(), duration_ms = input.duration_ms,
        http_status = input.http_status, finish_reason = input.finish_reason,
        error_kind = input.error_kind, error_code = input.error_code,
        error_message = input.error_message, input_tokens = input.input_tokens,
        output_tokens = input.output_tokens, cache_read_tokens = input.cache_read_tokens,
        cache_write_tokens = input.cache_write_tokens, reasoning_tokens = input.reasoning_tokens,
        estimated = input.estimated, cost_usd = input.cost_usd, simulated = input.simulated
    from input
    where a.job_id = input.job_id and a.number = input.number
      and case a.state when 1 then true when 12 then true else false end -- open or abandoned
), moved as (
    update penstock.jobs j
    set state = input.state,
        fence = case when input.state >= 10 then -1 end,
        tries = j.tries + input.charge,
        -- What a free retry met does not hide what a charged one did.
        last_error = case when input.charge = 1 or input.state >= 10 then input.error_kind
                          else coalesce(j.last_error, input.error_kind) end,
        spent = input.spent,
        placement_version = j.placement_version + case when j.provider = input.provider then 0 else 1 end,
        provider = input.provider,
        model = input.model,
        answer = case when input.state >= 10 then input.number end,
        available_at = case when input.state < 10 and input.wait_ms > 0
                            then now() + make_interval(secs => input.wait_ms / 1000.0) end,
        wait_until = case when input.state < 10
                          then now() + make_interval(secs => j.max_queue_wait_s + input.wait_ms / 1000.0) end,
        finished_at = case when input.state >= 10 then now() end
    from input
    where j.id = input.job_id
      and (j.fence = input.fence or (input.state = 10 and j.fence is distinct from -1))
    returning j.id, j.placement_version
), kept as (
    insert into penstock.answers (job_id, number, body)
    select job_id, number, body from input where body is not null
    on conflict do nothing
)
select id, placement_version from moved
