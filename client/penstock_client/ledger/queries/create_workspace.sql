-- Create a workspace with its default configuration; returns nothing when it exists already.
-- $2 routing as JSON, $3 monthly token budget or null for unlimited.
with made as (
    insert into penstock.workspaces (id) values ($1) on conflict do nothing returning id
), configuration as (
    insert into penstock.llm_configurations (workspace_id, name) select id, 'default' from made
)
insert into penstock.llm_configs (workspace_id, routing, default_token_budget)
select id, $2::jsonb, $3 from made
returning workspace_id
