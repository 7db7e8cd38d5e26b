-- What lets stewards see with one small read that nothing has changed of what they write into the
-- indexes: limits, pauses, weights, and whose credential is used where.
create table penstock.steering_version (
    only_one  boolean primary key default true check (only_one),
    version   bigint not null
);
insert into penstock.steering_version (version) values (1);

-- In the transaction of the change itself: who sees the new number sees the change.
create function penstock.steering_changed() returns trigger
language plpgsql as $$
begin
    update penstock.steering_version set version = version + 1;
    return null;
end
$$;

create trigger steering_changed after insert or update or delete or truncate on penstock.limits
    for each statement execute function penstock.steering_changed();
create trigger steering_changed after insert or update or delete or truncate on penstock.pauses
    for each statement execute function penstock.steering_changed();
create trigger steering_changed
    after insert or delete or truncate or update of fingerprint on penstock.provider_keys
    for each statement execute function penstock.steering_changed();

create trigger weight_changed after update of weight on penstock.llm_configs
    for each row when (old.weight is distinct from new.weight)
    execute function penstock.steering_changed();
create trigger weight_given after insert on penstock.llm_configs
    for each row when (new.weight <> 1) execute function penstock.steering_changed();
create trigger own_keys_changed after update of own_keys on penstock.llm_configurations
    for each row when (old.own_keys is distinct from new.own_keys)
    execute function penstock.steering_changed();
create trigger own_keys_given after insert on penstock.llm_configurations
    for each row when (not new.own_keys) execute function penstock.steering_changed();
create trigger configuration_gone after delete on penstock.llm_configurations
    for each row when (not old.own_keys) execute function penstock.steering_changed();

create index provider_keys_by_sealing_key on penstock.provider_keys (sealed_to);
