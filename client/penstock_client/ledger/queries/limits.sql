-- The limits that operators set; all of them, or those of the provider $1.
select provider, scope, unit, window_s, amount
from penstock.limits
where $1::text is null or provider = $1
order by provider, scope, unit, window_s
