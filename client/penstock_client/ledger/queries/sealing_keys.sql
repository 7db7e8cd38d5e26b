-- The public keys that are published, the newest first, and how many keys and webhook secrets are
-- sealed to each.
select s.id, s.public_key, s.created_at,
       (select count(*) from penstock.provider_keys k where k.sealed_to = s.id)
       + (select count(*) from penstock.webhook_secrets w where w.sealed_to = s.id) as sealed
from penstock.sealing_keys s
order by s.created_at desc, s.id
