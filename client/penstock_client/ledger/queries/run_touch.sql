-- The run $1 has come further.
update penstock.runs set version = version + 1 where id = $1
