-- The public keys that are published, the newest first, and how many keys are sealed to each.
select s.id, s.public_key, s.created_at,
       (select count(*) from penstock.provider_keys k where k.sealed_to = s.id) as sealed
from penstock.sealing_keys s
order by s.created_at desc, s.id
