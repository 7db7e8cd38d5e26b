-- Remove the configuration $2 of the workspace $1, unless it is the default one. What its jobs spent
-- stays in the usage. Returns nothing when there is no such configuration.
delete from penstock.llm_configurations n
using penstock.llm_configs c
where n.workspace_id = $1 and n.name = $2
  and c.workspace_id = n.workspace_id and c.default_configuration <> n.name
returning n.name
