-- Take the run $1 for this transaction, once nobody else has it.
select r.id, r.workspace, r.state, r.kept, d.definition
from penstock.runs r
join penstock.skill_definitions d on d.workspace = r.workspace and d.digest = r.digest
where r.id = $1
for update of r
