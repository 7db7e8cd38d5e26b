-- Forget what was asked in the jobs $1 of workspace $2, and what quotes their answers: the messages
-- of failed calls, but for errors of the kinds $3, and what a next attempt would have been told.
-- Returns where the calls of the jobs went: job ID and provider.
with mine as (
    select id from penstock.jobs where id = any($1::uuid[]) and workspace = $2
), asked as (
    delete from penstock.payloads p using mine where p.job_id = mine.id
), said as (
    update penstock.attempts a
    set error_message = null
    from mine
    where a.job_id = mine.id and a.error_message is not null
      and (a.error_kind is null or a.error_kind <> all($3::text[]))
), told as (
    update penstock.jobs j
    set spent = j.spent - 'repair'
    from mine
    where j.id = mine.id and j.spent ? 'repair'
)
select distinct a.job_id, a.provider
from mine
join penstock.attempts a on a.job_id = mine.id
