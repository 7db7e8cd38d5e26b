-- What ended without an answer, by what was wrong: few rows of many. None of these columns changes
-- when an attempt opens, so that update stays heap-only.
create index jobs_failed on penstock.jobs (workspace, last_error, id)
    where finished_at is not null and last_error is not null;
