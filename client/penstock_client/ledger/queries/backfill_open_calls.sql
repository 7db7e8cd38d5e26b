-- Note jobs of the backfill $1: $2 IDs, $3 the numbers of all their rows, one after the other, $4 how
-- many of those each has, $5 the most that each may cost.
insert into penstock.backfill_calls (job_id, backfill, numbers, held_usd)
select t.job_id, $1, ($3::bigint[])[t.upto - t.size + 1 : t.upto], t.held_usd
from (
    select job_id, size, held_usd, sum(size) over (order by place)::integer as upto
    from unnest($2::uuid[], $4::integer[], $5::numeric[])
        with ordinality u (job_id, size, held_usd, place)
) t
