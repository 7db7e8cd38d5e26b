-- Forget what the rows of the backfill $1 ask after the number $2, up to the number $3, and their
-- parts of answers. An error stays that is only a kind.
update penstock.backfill_rows
set input = null, answer = null, error = case when state = 13 then null else error end
where backfill = $1 and number > $2 and number <= $3
