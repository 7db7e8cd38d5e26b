-- Take a backfill whose time is over, for this transaction; nothing when none is. It ended as long
-- ago as its workspace keeps what is asked and answered, or $1 seconds ago where that is nothing.
-- From here on it cannot go on any more.
with due as (
    select b.id
    from penstock.backfills b
    join penstock.llm_configs c on c.workspace_id = b.workspace
    where c.retention_days is not null and b.finished_at is not null and b.stripped_rows < b.loaded
      and b.finished_at <= now() - case when c.retention_days = 0
                                        then make_interval(secs => $1::float8)
                                        else make_interval(days => c.retention_days) end
    order by b.finished_at
    limit 1
    for update of b skip locked
)
update penstock.backfills b
set kept = false
from due
where b.id = due.id
returning b.id, b.workspace, b.stripped, b.stripped_rows, b.loaded
