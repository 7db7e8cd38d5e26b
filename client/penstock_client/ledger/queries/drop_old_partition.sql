-- Drop one partition whose jobs are older than $1 weeks and have all ended; its name, or null.
select penstock.drop_old_partition($1::integer) as dropped
