-- Record a run with its steps; a steward begins them. Returns its ID, or that of the run which the
-- workspace has under the idempotency key already; none when that was not visible yet.
-- $1 ID, $2 workspace, $3 skill, $4 digest, $5 options, $6 inputs, $7 webhook, $8 idempotency key,
-- $9 trace, $10 the names of the steps.
with fresh as (
    insert into penstock.runs (id, workspace, skill, digest, options, inputs, webhook,
                               idempotency_key, trace)
    values ($1, $2, $3, $4, $5::json, $6, $7, $8, $9)
    on conflict do nothing
    returning id
), steps as (
    insert into penstock.run_steps (run, position, step)
    select fresh.id, t.place - 1, t.name
    from fresh, unnest($10::text[]) with ordinality as t (name, place)
), told as (
    insert into penstock.news (owner, subject) select id, id from fresh on conflict do nothing
)
select id from fresh
union all
select r.id from penstock.runs r
where not exists (select from fresh)
  and (r.id = $1 or (r.workspace = $2 and r.idempotency_key = $8))
limit 1
