-- Backfills that a steward should look at, at most $1: those with news (found by hopping from owner
-- to owner), those with room for more, those that may have ended, and those to be stopped.
with recursive owners as (
    (select owner from penstock.news order by owner limit 1)
    union all
    select (select n.owner from penstock.news n where n.owner > o.owner order by n.owner limit 1)
    from owners o where o.owner is not null
)
select b.id from owners o join penstock.backfills b on b.id = o.owner
union
select b.id from penstock.backfills b
where b.finished_at is null and b.state = 4
  and case when b.fed_all then b.under_way = 0 else b.under_way * 4 <= b.row_window * 3 end
union
select b.id from penstock.backfills b where b.state = 12 and b.under_way > 0
limit $1
