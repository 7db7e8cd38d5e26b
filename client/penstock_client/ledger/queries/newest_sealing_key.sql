-- The public key to seal to.
select id, public_key from penstock.sealing_keys order by created_at desc, id limit 1
