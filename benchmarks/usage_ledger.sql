-- Fill the ledger with $1 jobs of the workspace $2 over the last $3 days, each with one call: of 20
-- skills with a step and an agent, each on any of 5 models, and in sessions of 50 jobs.
with calls as materialized (
    select n,
           now() - make_interval(secs => ($1 - n) * ($3::integer * 86400.0 / $1)) as began,
           abs(hashint8(n)::bigint) % 20 as skill, abs(hashint8(n + 1)::bigint) % 5 as model,
           abs(hashint8(n + 2)::bigint) % 100 as luck
    from generate_series(1::bigint, $1::bigint) n
), drawn as materialized (
    select *, (substr(penstock.first_id_at(began)::text, 1, 14) || '7'
               || substr(md5(n::text), 1, 3) || '-8' || substr(md5(n::text), 4, 3) || '-'
               || substr(md5(n::text), 7, 12))::uuid as id,
           (array['openai', 'openai', 'anthropic', 'anthropic', 'fireworks'])[model + 1] as provider
    from calls
), jobs as (
    insert into penstock.jobs (
        id, workspace, type, capability, provider, model, state, lane, attempts, tries, fence,
        max_attempts, input_tokens_est, output_tokens_est, answer, created_at, started_at,
        finished_at, skill, step, agent, session_key)
    select id, $2, 'generate', case when skill < 10 then 'reason' else 'extract' end, provider,
           'model-' || model, case when luck = 0 then 11 else 10 end, 1, 1, 1, -1, 5, 500, 200,
           case when luck > 0 then 1 end, began, began, began + interval '2 seconds',
           'skill-' || skill, 'step-' || skill % 3, 'agent-' || skill, 'session-' || n / 50
    from drawn
)
insert into penstock.attempts (
    job_id, number, workspace, provider, model, worker, fence, state, started_at, finished_at,
    duration_ms, http_status, error_kind, input_tokens, output_tokens, cache_read_tokens, cost_usd)
select id, 1, $2, provider, 'model-' || model, 'bench', 1, case when luck = 0 then 11 else 10 end,
       began, began + interval '2 seconds', 1000 + luck * 10,
       case when luck = 0 then 500 else 200 end, case when luck = 0 then 'server_error' end,
       500 + luck, 200, 100, case when luck <> 1 then 0.001 + luck * 0.00001 end
from drawn
