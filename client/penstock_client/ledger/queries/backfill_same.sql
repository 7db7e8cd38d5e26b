-- Let rows of the backfill $1 that ask the same share one call: the first of them is asked. Returns
-- how many have the answer of another.
with same as (
    select digest, min(number) as first, count(*) as copies
    from penstock.backfill_rows
    where backfill = $1 and state = 1
    group by digest
    having count(*) > 1
), firsts as (
    update penstock.backfill_rows r
    set copies = same.copies
    from same
    where r.backfill = $1 and r.number = same.first
), others as (
    update penstock.backfill_rows r
    set first = same.first
    from same
    where r.backfill = $1 and r.digest = same.digest and r.number > same.first and r.state = 1
    returning r.number
)
select count(*) as duplicates from others
