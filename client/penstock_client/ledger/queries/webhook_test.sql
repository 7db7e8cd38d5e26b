-- Note a test event of workspace $1: $2 its subject, $3 the address.
select penstock.note_delivery($1, $2, 'webhook.test', $3, '{"status": "test"}')
