-- The job that an idempotency key of a workspace stands for.
select id from penstock.jobs where workspace = $1 and idempotency_key = $2
