-- The skills of workspace $1 by name, or only the one of name $2; after the name $3, at most $4.
select s.name, s.digest, s.created_at, s.updated_at, d.definition
from penstock.skills s
join penstock.skill_definitions d on d.workspace = s.workspace and d.digest = s.digest
where s.workspace = $1 and ($2::text is null or s.name = $2) and ($3::text is null or s.name > $3)
order by s.name
limit $4
