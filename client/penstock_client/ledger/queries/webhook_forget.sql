-- Forget deliveries older than $1 days whose subject had no later one since, at most $2 of them.
delete from penstock.deliveries d
where d.id in (
    select o.id from penstock.deliveries o
    where o.id < penstock.first_id_at(now() - make_interval(days => $1))
      and not exists (
        select from penstock.deliveries n
        where n.subject = o.subject
          and n.id >= penstock.first_id_at(now() - make_interval(days => $1)))
    order by o.id
    limit $2
)
returning d.id
