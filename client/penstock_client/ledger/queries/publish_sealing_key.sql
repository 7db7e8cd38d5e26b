-- Publish a public key to seal to: the first there is, or one whose owner can open what is sealed to
-- the one in use. So nobody takes over with a key of their own by mistake. One that is known keeps
-- its place. $1 its ID, $2 the key, $3 the IDs of all keys of its owner.
insert into penstock.sealing_keys (id, public_key, created_at)
select $1, $2, clock_timestamp()
where coalesce(
    (select id = any ($3::text[]) from penstock.sealing_keys order by created_at desc, id limit 1),
    true)
on conflict do nothing
returning id
