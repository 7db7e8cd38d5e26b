-- End the calls of COMPUTE functions of the run $1, which has ended, that have not ended themselves:
-- with $2 also those under way, whose results are then left.
with ended as (
    update penstock.run_items i
    set state = 12, error = 'cancelled', finished_at = now(), due_at = null, fence = null
    from penstock.runs r
    where r.id = $1 and r.state >= 10
      and i.run = r.id and i.due_at is not null and ($2::boolean or i.fence is null)
)
insert into penstock.news (owner, subject) values ($1, $1) on conflict do nothing
