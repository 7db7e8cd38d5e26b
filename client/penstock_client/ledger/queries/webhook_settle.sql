-- Note what became of an attempt; see penstock.settle_delivery.
select penstock.settle_delivery($1, $2, $3::smallint, $4::smallint, $5, $6) as settled
