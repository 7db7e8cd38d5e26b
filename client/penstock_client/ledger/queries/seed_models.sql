-- Bring the models of the packaged catalogue into the table; run it after `lock_catalogue`.
-- $1 a JSON array of objects whose keys are columns. A column follows the package while it holds
-- what the last seeding wrote; one that an operator has changed since is kept, and so is all of a
-- row that an operator added.
-- Returns one row for each model that is new or has changed, and whether it is new.
with given as (
    select to_jsonb(typed) as typed, array(select jsonb_object_keys(row)) as columns
    from jsonb_array_elements($1::jsonb) as row,
         jsonb_populate_record(null::penstock.llm_models, row) as typed
),
compared as (
    select pair.key, pair.value,
           given.typed ->> 'provider' as provider, given.typed ->> 'model_id' as model_id,
           case when kept.id is null
                     or kept.seeded <> '{}' and not kept.seeded ? pair.key  -- a new column
                     or to_jsonb(kept) -> pair.key = kept.seeded -> pair.key
                then pair.value
                else to_jsonb(kept) -> pair.key end as chosen
    from given
    cross join lateral jsonb_each(given.typed) as pair
    left join penstock.llm_models as kept
        on kept.provider = given.typed ->> 'provider' and kept.model_id = given.typed ->> 'model_id'
    where pair.key = any (given.columns)
),
merged as (
    select jsonb_object_agg(key, value) as seeded, jsonb_object_agg(key, chosen) as fields
    from compared
    group by provider, model_id
)
insert into penstock.llm_models as kept (
    provider, model_id, wire_id, display_name, kind, context_window, max_output_tokens,
    dimensions, input_usd_per_mtok, output_usd_per_mtok, cached_input_usd_per_mtok,
    cache_write_usd_per_mtok, long_context_above_tokens, long_context_factor, capabilities, speed_tier,
    quality_tier, size_category, retires_on, is_active,
    seeded
)
select
    taken.provider, taken.model_id, taken.wire_id, taken.display_name, taken.kind,
    taken.context_window, taken.max_output_tokens, taken.dimensions,
    taken.input_usd_per_mtok, taken.output_usd_per_mtok, taken.cached_input_usd_per_mtok,
    taken.cache_write_usd_per_mtok, taken.long_context_above_tokens, taken.long_context_factor,
    taken.capabilities,
    taken.speed_tier, taken.quality_tier, taken.size_category, taken.retires_on,
    taken.is_active,
    merged.seeded
from merged, jsonb_populate_record(null::penstock.llm_models, merged.fields) as taken
on conflict (provider, model_id) do update set
    wire_id = excluded.wire_id,
    display_name = excluded.display_name,
    kind = excluded.kind,
    context_window = excluded.context_window,
    max_output_tokens = excluded.max_output_tokens,
    dimensions = excluded.dimensions,
    input_usd_per_mtok = excluded.input_usd_per_mtok,
    output_usd_per_mtok = excluded.output_usd_per_mtok,
    cached_input_usd_per_mtok = excluded.cached_input_usd_per_mtok,
    cache_write_usd_per_mtok = excluded.cache_write_usd_per_mtok,
    long_context_above_tokens = excluded.long_context_above_tokens,
    long_context_factor = excluded.long_context_factor,
    capabilities = excluded.capabilities,
    speed_tier = excluded.speed_tier,
    quality_tier = excluded.quality_tier,
    size_category = excluded.size_category,
    retires_on = excluded.retires_on,
    is_active = excluded.is_active,
    seeded = excluded.seeded,
    updated_at = now()
where kept.seeded is distinct from excluded.seeded
returning provider, model_id, xmax = 0 as is_new
