-- Bring the providers of the packaged catalogue into the table; run it after `lock_catalogue`.
-- $1 a JSON array of objects whose keys are columns. A column follows the package while it holds
-- what the last seeding wrote; one that an operator has changed since is kept, and so is all of a
-- row that an operator added.
-- Returns one row for each provider that is new or has changed, and whether it is new.
with given as (
    select to_jsonb(typed) as typed, array(select jsonb_object_keys(row)) as columns
    from jsonb_array_elements($1::jsonb) as row,
         jsonb_populate_record(null::penstock.llm_providers, row) as typed
),
compared as (
    select pair.key, pair.value, given.typed ->> 'name' as name,
           case when kept.id is null
                     or kept.seeded <> '{}' and not kept.seeded ? pair.key  -- a new column
                     or to_jsonb(kept) -> pair.key = kept.seeded -> pair.key
                then pair.value
                else to_jsonb(kept) -> pair.key end as chosen
    from given
    cross join lateral jsonb_each(given.typed) as pair
    left join penstock.llm_providers as kept
        on kept.name = given.typed ->> 'name'
    where pair.key = any (given.columns)
),
merged as (
    select jsonb_object_agg(key, value) as seeded, jsonb_object_agg(key, chosen) as fields
    from compared
    group by name
)
insert into penstock.llm_providers as kept (
    name, display_name, base_url, auth_type, wire, supported_features, supports_embeddings,
    is_local, is_active,
    seeded
)
select
    taken.name, taken.display_name, taken.base_url, taken.auth_type, taken.wire,
    taken.supported_features, taken.supports_embeddings, taken.is_local, taken.is_active,
    merged.seeded
from merged, jsonb_populate_record(null::penstock.llm_providers, merged.fields) as taken
on conflict (name) do update set
    display_name = excluded.display_name,
    base_url = excluded.base_url,
    auth_type = excluded.auth_type,
    wire = excluded.wire,
    supported_features = excluded.supported_features,
    supports_embeddings = excluded.supports_embeddings,
    is_local = excluded.is_local,
    is_active = excluded.is_active,
    seeded = excluded.seeded,
    updated_at = now()
where kept.seeded is distinct from excluded.seeded
returning name, xmax = 0 as is_new
