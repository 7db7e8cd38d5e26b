-- Empty every table but those of the catalogue and of the migrations. A truncate makes new files for each
-- partition and each index, which costs more than most tests: only what has grown is truncated.
do $$
declare
    leaf regclass;
    large text;
begin
    perform set_config('session_replication_role', 'replica', true); -- no triggers, no foreign keys
    for leaf in
        select c.oid::regclass
        from pg_catalog.pg_class c
        join pg_catalog.pg_namespace n on n.oid = c.relnamespace
        where n.nspname = 'penstock' and c.relkind = 'r'
          and c.relname not in ('llm_providers', 'llm_models', 'migrations', 'steering_version')
          and pg_catalog.pg_relation_size(c.oid) > 0
    loop
        if pg_catalog.pg_relation_size(leaf) > 4 * 1024 * 1024 then
            large := concat_ws(', ', large, leaf::text);
        else
            execute format('delete from %s', leaf);
        end if;
    end loop;
    if large is not null then
        execute format('truncate %s cascade', large);
    end if;
end
$$;
