-- Note which of the jobs $2 of the run $1 have ended. Returns those that failed, with their results.
with noted as (
    update penstock.run_items i
    set state = case j.state when 10 then 10 when 12 then 12 else 11 end,
        finished_at = j.finished_at
    from penstock.jobs j
    where i.run = $1 and i.job_id = any($2::uuid[]) and i.state = 4
      and j.id = i.job_id and j.finished_at is not null
    returning i.position, i.item, i.job_id, j.answer, j.state, j.last_error
)
select n.position, n.item, n.last_error, a.body
from noted n
left join penstock.answers a on a.job_id = n.job_id and a.number = n.answer
where n.state <> 10
