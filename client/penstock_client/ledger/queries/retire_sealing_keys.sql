-- Forget published public keys that nothing is sealed to: nothing can be sealed to them any more.
-- Fails on the foreign key where something was sealed to one of them meanwhile. $1 their IDs.
delete from penstock.sealing_keys s
where s.id = any ($1::text[])
  and not exists (select from penstock.provider_keys k where k.sealed_to = s.id)
  and not exists (select from penstock.webhook_secrets w where w.sealed_to = s.id)
returning s.id
