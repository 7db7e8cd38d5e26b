-- Keep a declaration of a skill. Idempotent. $1 workspace, $2 name, $3 digest, $4 definition.
with kept as (
    insert into penstock.skill_definitions (workspace, digest, name, definition)
    values ($1, $3, $2, $4::json)
    on conflict do nothing
    returning digest
)
select true from kept
