-- Runs of which there is news, at most $1; found by hopping from owner to owner.
with recursive owners as (
    (select owner from penstock.news order by owner limit 1)
    union all
    select (select n.owner from penstock.news n where n.owner > o.owner order by n.owner limit 1)
    from owners o where o.owner is not null
)
select r.id from owners o join penstock.runs r on r.id = o.owner
limit $1
