-- Backfills of workspace $1, newest first: $2 state or null, older than $3 or null, at most $4.
select * from penstock.backfills
where workspace = $1
  and ($2::smallint is null or state = $2)
  and ($3::uuid is null or id < $3)
order by id desc
limit $4
