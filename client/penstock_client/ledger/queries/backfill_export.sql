-- Rows of the backfill $1 after the number $2 that have ended, at most $3, with their answers. A row
-- that shares another's call has that row's answer and cost nothing. $4: also rows without an ID.
select r.number, r.line, r.row_id, f.state, f.error, f.answer, f.job_id,
       r.first is not null as shared, f.attempts, f.input_tokens, f.output_tokens, f.cost_usd,
       a.body
from penstock.backfill_rows r
join penstock.backfill_rows f on f.backfill = r.backfill and f.number = coalesce(r.first, r.number)
left join penstock.jobs j on j.id = f.job_id
left join penstock.answers a on a.job_id = j.id and a.number = j.answer
where r.backfill = $1 and r.number > $2 and (r.row_id is not null or $4)
order by r.number
limit $3
