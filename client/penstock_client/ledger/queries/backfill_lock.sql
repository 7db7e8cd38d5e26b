-- Take the backfill $1 for this transaction.
select * from penstock.backfills where id = $1 for update
