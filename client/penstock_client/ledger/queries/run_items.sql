-- Items of the step $2 (its position) of the run $1, in order, with their answers: those after the
-- item $3 that are in the state $4, at most $5.
select i.item, i.state, i.job_id, i.output, i.error, i.starts, i.finished_at,
       j.provider, j.model, j.attempts, a.body
from penstock.run_items i
left join penstock.jobs j on j.id = i.job_id
left join penstock.answers a on a.job_id = j.id and a.number = j.answer
where i.run = $1 and i.position = $2 and i.item > $3 and ($4::smallint is null or i.state = $4)
order by i.item
limit $5
