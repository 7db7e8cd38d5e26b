-- Workspaces that keep prompts and answers for a time only take their place in the retention's turns.
insert into penstock.retention (workspace, pass)
select c.workspace_id, pass
from penstock.llm_configs c
cross join (values (1::smallint), (2::smallint)) passes (pass)
where c.retention_days is not null
on conflict do nothing
