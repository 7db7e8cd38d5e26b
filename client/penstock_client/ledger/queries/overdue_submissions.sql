-- Submits whose jobs may have missed the index.
select first_id, last_id from penstock.submissions where due_at <= now() order by due_at limit 100
