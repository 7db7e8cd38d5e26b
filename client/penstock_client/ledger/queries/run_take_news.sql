-- Take at most $2 of the news of the run $1.
delete from penstock.news n
using (select owner, subject from penstock.news where owner = $1 limit $2) taken
where n.owner = taken.owner and n.subject = taken.subject
returning n.subject
