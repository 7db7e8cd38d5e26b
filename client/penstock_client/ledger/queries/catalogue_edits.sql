-- What an operator has changed in the tables of the catalogue: rows of their own, and rows of the
-- package that hold another value than the last seeding wrote. `fields` has all columns that mean
-- something, `edited` the names of those that were changed.
with held as (
    select 'provider' as kind, name, seeded, to_jsonb(provider) as held
    from penstock.llm_providers as provider
    union all
    select 'model', provider || '/' || model_id, seeded, to_jsonb(model)
    from penstock.llm_models as model
)
select kind, held.name, seeded = '{}' as is_new,
       jsonb_object_agg(pair.key, pair.value)::text as fields,
       array_agg(pair.key) filter (
           where seeded = '{}' or seeded ? pair.key and pair.value is distinct from seeded -> pair.key
       ) as edited
from held
cross join lateral jsonb_each(held.held) as pair
where pair.key <> all (array['id', 'seeded', 'created_at', 'updated_at'])
group by kind, held.name, seeded
having count(*) filter (
    where seeded = '{}' or seeded ? pair.key and pair.value is distinct from seeded -> pair.key
) > 0
order by kind desc, held.name
