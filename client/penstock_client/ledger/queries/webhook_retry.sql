-- Send a delivery of workspace $1 again, in its turn: $2 its ID.
select penstock.retry_delivery($1, $2)
