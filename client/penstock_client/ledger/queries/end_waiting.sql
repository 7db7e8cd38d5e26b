-- End jobs that waited too long, unless they were started, moved or ended meanwhile; their results
-- are kept by `keep_answers`. Does not ask for `finished_at`, see `divert`.
-- $1 job IDs, $2 the placement versions they had. Returns the ended ones.
update penstock.jobs j
set state = 11, fence = -1, finished_at = now(), answer = 0, last_error = 'queue_timeout'
from unnest($1::uuid[], $2::smallint[]) as given (id, placement)
where j.id = given.id
  and j.fence is null and j.placement_version = given.placement
returning j.id
