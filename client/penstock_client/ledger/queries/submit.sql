-- Record a batch of jobs with their payloads; one statement for 1 job or 10,000.
-- Repeating it with the same IDs changes nothing. Returns only the jobs that were not recorded
-- because an earlier job of the workspace has their idempotency key, with that job's ID; the ID is
-- null when the earlier job was not visible yet, and `find_by_key` then finds it.
-- $27, $28: smallest and largest ID of the batch; $29: seconds until the steward indexes it.
with input as (
    select * from unnest(
        $1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::smallint[],
        $8::smallint[], $9::integer[], $10::integer[], $11::timestamptz[], $12::text[],
        $13::text[], $14::text[], $15::text[], $16::text[], $17::text[], $18::text[],
        $19::real[], $20::text[], $21::text[], $22::text[], $23::text[], $24::uuid[], $25::text[],
        $26::bytea[]
    ) as t (id, workspace, type, capability, provider, model, lane, max_attempts, input_tokens,
            output_tokens, deadline, idempotency_key, skill, step, agent, task_type, system_hash,
            limit_tag, max_queue_wait_s, configuration, session_key, task_description, trace, owner,
            webhook, body)
), fresh as (
    insert into penstock.jobs (
        id, workspace, type, capability, provider, model, state, lane, max_attempts,
        input_tokens_est, output_tokens_est, deadline, idempotency_key, skill, step, agent,
        task_type, system_hash, limit_tag, max_queue_wait_s, wait_until, configuration,
        session_key, task_description, trace, owner, webhook)
    select id, workspace, type, capability, provider, model, 1, lane, max_attempts, input_tokens,
           output_tokens, deadline, idempotency_key, skill, step, agent, task_type, system_hash,
           limit_tag, max_queue_wait_s, now() + make_interval(secs => max_queue_wait_s),
           configuration, session_key, task_description, trace, owner, webhook
    from input
    on conflict do nothing
    returning id
), bodies as (
    insert into penstock.payloads (job_id, body)
    select input.id, input.body from input join fresh on fresh.id = input.id
), pending as (
    insert into penstock.submissions (first_id, last_id, due_at)
    values ($27, $28, now() + make_interval(secs => $29))
    on conflict do nothing
)
select input.id, first.id as first_id
from input
left join penstock.jobs first
    on first.workspace = input.workspace and first.idempotency_key = input.idempotency_key
where input.idempotency_key is not null
  and first.id is distinct from input.id
  and not exists (select from fresh where fresh.id = input.id)
