-- Let the backfill $1 run, all of whose rows are loaded: $2 duplicates, $3 adopted rows, $4 rows of
-- its dry run or null. One without anything to ask has ended at once.
update penstock.backfills b
set state = case when asked.to_ask > 0 then 4 when b.invalid > 0 then 11 else 10 end,
    reason = case when asked.to_ask = 0 and b.invalid > 0
                  then format('%s rows have no answer', b.invalid) end,
    started_at = now(), finished_at = case when asked.to_ask = 0 then now() end,
    duplicates = $2, adopted = $3, sample = $4, sampling = $4::integer is not null,
    version = version + 1, to_ask = asked.to_ask, asked_bytes = asked.bytes
from (
    select count(*) as to_ask, coalesce(sum(octet_length(input)), 0)::bigint as bytes
    from penstock.backfill_rows
    where backfill = $1 and state = 1 and first is null
) asked
where b.id = $1
