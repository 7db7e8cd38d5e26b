-- Change a workspace's share beside others ($2 weight) and, when $3, its monthly token budget ($4,
-- null for unlimited). What is null or not to be changed stays. Returns nothing when it is unknown.
update penstock.llm_configs
set weight = coalesce($2::float8::real, weight),
    default_token_budget = case when $3::boolean then $4::bigint else default_token_budget end,
    updated_at = now()
where workspace_id = $1
returning workspace_id
