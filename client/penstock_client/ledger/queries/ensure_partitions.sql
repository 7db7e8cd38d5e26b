-- Make the weekly partitions of this week and the coming $1 - 1 weeks.
select penstock.ensure_partitions(now(), $1)
