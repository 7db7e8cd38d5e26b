-- Take over answers that earlier backfills of workspace $2 with the plan $3 have to rows of the
-- backfill $1. With $4 any row that asks the same will do, else only one of the same ID.
with found as (
    select distinct on (r.number) r.number, o.job_id, o.answer
    from penstock.backfills b
    join penstock.backfill_rows o on o.backfill = b.id
    join penstock.backfill_rows r
        on r.backfill = $1 and r.digest = o.digest and ($4 or r.key = o.key)
    where b.workspace = $2 and b.plan_key = $3 and b.id <> $1 and b.kept
      and o.state = 10 and o.first is null and r.state = 1 and r.first is null
    order by r.number, o.job_id desc
), adopted as (
    update penstock.backfill_rows r
    set state = 10, job_id = found.job_id, answer = found.answer
    from found
    where r.backfill = $1 and r.number = found.number
    returning r.copies
)
select coalesce(sum(copies), 0)::bigint as adopted from adopted
