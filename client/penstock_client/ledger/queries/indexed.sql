-- Forget submits whose jobs are in the index. Losing this costs a look of the steward, so the commit
-- does not wait for the disk.
delete from penstock.submissions
where first_id = any($1::uuid[])
  and (select set_config('synchronous_commit', 'off', true)) = 'off'
