-- Take the workspace that is due for retention the longest, for this transaction; nothing when none
-- is, or others have them. Returns how far its pass has come, and until when jobs must have ended:
-- retention_days ago, or $1 seconds ago for 0 days; $2 seconds before that for the second pass.
select r.workspace, r.pass, r.finished_at, r.job_id, c.retention_days,
       now() - case when c.retention_days = 0 then make_interval(secs => $1::float8)
                    else make_interval(days => c.retention_days) end
             - case when r.pass = 2 then make_interval(secs => $2::float8) else interval '0' end
           as ended_before
from penstock.retention r
join penstock.llm_configs c on c.workspace_id = r.workspace
where c.retention_days is not null and r.due_at <= now()
order by r.due_at, r.pass
limit 1
for update of r skip locked
