-- The backfill of workspace $1 with the identity $2 that was not cancelled.
select id from penstock.backfills where workspace = $1 and identity = $2 and state <> 12
