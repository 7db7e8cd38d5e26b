-- Whether workspace $2 has other backfills than $1 with the plan $3.
select exists (
    select from penstock.backfills b
    where b.workspace = $2 and b.plan_key = $3 and b.id <> $1 and b.kept
) as siblings
