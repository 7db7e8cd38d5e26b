-- Forget a public key whose private half is lost, and all that is sealed to it: nobody can open that.
-- $1 its ID. Returns the number of keys and webhook secrets that went with it; no row where it is not
-- known.
with sealed as (
    delete from penstock.provider_keys where sealed_to = $1 returning workspace_id
), secrets as (
    delete from penstock.webhook_secrets where sealed_to = $1 returning workspace
), gone as (
    delete from penstock.sealing_keys where id = $1 returning id
)
select (select count(*) from sealed) + (select count(*) from secrets) as keys from gone
