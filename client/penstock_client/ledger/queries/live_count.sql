-- How many of a provider's jobs have not ended; counts no further than $2.
select count(*) as jobs
from (select 1 from penstock.jobs where provider = $1 and finished_at is null limit $2) counted
