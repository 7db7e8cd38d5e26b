-- What became of each call, said in one place: a retry failed and its job went on, an abandoned call's
-- answer was lost.
create or replace view penstock.usage as
select a.job_id, a.number as attempt, a.workspace, a.provider, a.model, a.state, a.started_at,
       a.finished_at, a.duration_ms, a.http_status, a.finish_reason, a.error_kind, a.error_code,
       a.input_tokens, a.output_tokens, a.cache_read_tokens, a.cache_write_tokens,
       a.reasoning_tokens, a.estimated, a.cost_usd, a.simulated,
       j.capability, j.skill, j.step, j.agent, j.task_type,
       a.configuration, a.credential, j.task_description, j.session_key,
       a.error_message,
       case when a.state = 10 then 'success'
            when a.error_code = 'timeout' or a.http_status in (408, 504) then 'timeout'
            when a.state = 12 then 'abandoned'
            when a.number < j.attempts or j.finished_at is null then 'retry'
            else 'error' end as status
from penstock.attempts a
left join penstock.jobs j on j.id = a.job_id
where a.state >= 10;
