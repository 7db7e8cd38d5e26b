-- Runs that have ended and of which something may still be under way, at most $1.
select id, state from penstock.runs where stopping order by id limit $1
