-- Forget submits whose jobs are in the index.
delete from penstock.submissions where first_id = any($1::uuid[])
