-- The providers that have jobs which have not ended. Skips from one provider to the next on the
-- index, so that it costs the same with one job as with a million.
with recursive provider as (
    (select provider from penstock.jobs where finished_at is null order by provider limit 1)
    union all
    select (select j.provider from penstock.jobs j
            where j.finished_at is null and j.provider > p.provider
            order by j.provider limit 1)
    from provider p
    where p.provider is not null
)
select provider from provider where provider is not null
