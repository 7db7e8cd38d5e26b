-- Usage of all workspaces since some hour, for metrics. Columns that change are not in it, so rows
-- stay heap-only when they are summed up further.

create index if not exists usage_hours_by_hour on penstock.usage_hours (hour);
