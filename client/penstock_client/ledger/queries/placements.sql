-- The providers that a job is or was placed at: where pieces of its answer may be read.
select provider from penstock.jobs where id = $1
union
select provider from penstock.attempts where job_id = $1
