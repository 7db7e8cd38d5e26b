-- The hours (of UTC, oldest first) in which calls of workspace $1 may have begun, from $2 until
-- before $3. $4 to $11: only those values, or all with null.
select distinct date_trunc('hour', u.hour + part, 'UTC') as hour
from penstock.usage_hours u
cross join (values (interval '0'), (interval '59 minutes')) parts (part)
where u.workspace = $1
  and u.hour > $2::timestamptz - interval '1 hour'
  and u.hour < coalesce($3::timestamptz, 'infinity')
  and ($4::text[] is null or configuration = any($4))
  and ($5::text[] is null or capability = any($5))
  and ($6::text[] is null or skill = any($6))
  and ($7::text[] is null or step = any($7))
  and ($8::text[] is null or agent = any($8))
  and ($9::text[] is null or task_type = any($9))
  and ($10::text[] is null or provider = any($10))
  and ($11::text[] is null or model = any($11) or provider || '/' || model = any($11))
order by 1
