-- Keep the payload ($2) of delivery $1, so that every attempt sends the same.
update penstock.deliveries set body = $2 where id = $1 and body is null
