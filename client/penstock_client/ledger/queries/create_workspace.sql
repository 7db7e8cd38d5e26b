-- Create a workspace with its configuration; returns nothing when it exists already.
-- $2 routing as JSON, $3 monthly token budget or null for unlimited.
with made as (
    insert into penstock.workspaces (id) values ($1) on conflict do nothing returning id
)
insert into penstock.llm_configs (workspace_id, routing, default_token_budget)
select id, $2::jsonb, $3 from made
returning workspace_id
