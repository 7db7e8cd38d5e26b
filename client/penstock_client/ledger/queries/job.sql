-- One job, and its answer where it is kept.
select j.id, j.workspace, j.type, j.capability, j.configuration, j.provider, j.model, j.state, j.lane,
       j.attempts, j.last_error, j.created_at, j.started_at, j.finished_at, j.deadline, j.skill,
       j.step, j.agent, j.task_type, j.session_key, j.trace, a.body
from penstock.jobs j
left join penstock.answers a on a.job_id = j.id and a.number = j.answer
where j.id = $1
