-- Calls of COMPUTE functions that are to be looked at, at most $1: new ones, those that are to be
-- tried again, those that have been in their queue for a while, and those whose worker renews its
-- lease no longer. They are looked at again later, and belong to nobody from now on.
with due as (
    select run, position, item, fence is not null as lost
    from penstock.run_items
    where due_at <= now()
    order by due_at
    limit $1
    for update skip locked
), looked as (
    update penstock.run_items i
    set crashes = i.crashes + due.lost::integer,
        fence = null,
        looks = i.looks + 1,
        due_at = now() + make_interval(secs => least(5 * 2 ^ least(i.looks, 5), 30))
    from due
    where i.run = due.run and i.position = due.position and i.item = due.item
    returning i.run, i.position, i.item, i.function, i.starts, i.crashes, due.lost
)
select * from looked
