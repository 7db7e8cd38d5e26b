-- Where one job stands, its routes, and its workspace's token budget of the month.
select j.id, j.workspace, j.capability, j.provider, j.model, j.state, j.lane, j.limit_tag,
       j.configuration, j.placement_version, j.input_tokens_est, j.output_tokens_est, j.attempts, j.tries,
       j.max_attempts, j.max_queue_wait_s, j.wait_until, j.created_at, j.available_at,
       j.started_at, j.finished_at, j.deadline, j.last_error,
       penstock.routes_of(p.body) as routes,
       c.tokens_used_this_month as tokens_used, c.default_token_budget as token_budget,
       coalesce(c.budget_reset_at > now(), false) as budget_counts,
       c.budget_reset_at as budget_resets_at, c.on_budget
from penstock.jobs j
left join penstock.payloads p on p.job_id = j.id
left join penstock.llm_configs c on c.workspace_id = j.workspace
where j.id = $1
