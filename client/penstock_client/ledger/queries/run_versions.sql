-- How far the runs $1 have come.
select id, state, version from penstock.runs where id = any($1::uuid[])
