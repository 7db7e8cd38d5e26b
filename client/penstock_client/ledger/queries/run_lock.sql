-- Take the run $1 for this transaction; nothing while another steward has it.
select r.id, r.workspace, r.skill, r.digest, r.state, r.epoch, r.options, r.inputs, r.trace,
       r.created_at, d.definition
from penstock.runs r
join penstock.skill_definitions d on d.workspace = r.workspace and d.digest = r.digest
where r.id = $1
for update of r skip locked
