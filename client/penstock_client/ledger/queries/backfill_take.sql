-- Take the backfill $1 for this transaction; nothing while another steward has it.
select * from penstock.backfills where id = $1 for update skip locked
