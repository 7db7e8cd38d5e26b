-- What the items of the step $2 (its position) of the run $1 gave, in order.
select i.item, i.state, i.output, i.error, a.body
from penstock.run_items i
left join penstock.jobs j on j.id = i.job_id
left join penstock.answers a on a.job_id = j.id and a.number = j.answer
where i.run = $1 and i.position = $2
order by i.item
