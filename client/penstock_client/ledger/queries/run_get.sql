-- The runs $1, with their declarations.
select r.id, r.workspace, r.skill, r.digest, r.state, r.epoch, r.version, r.options, r.output,
       r.error, r.created_at, r.finished_at, r.kept, d.definition
from penstock.runs r
join penstock.skill_definitions d on d.workspace = r.workspace and d.digest = r.digest
where r.id = any($1::uuid[])
