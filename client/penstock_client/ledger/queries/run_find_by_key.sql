-- The run of workspace $1 that has the idempotency key $2.
select id from penstock.runs where workspace = $1 and idempotency_key = $2
