-- The routes of an encoded job. Its JSON is not read as a whole: prompts may hold \u0000, which Postgres
-- refuses there. The routes of an envelope stand before its job, where nothing quotes them.
create function penstock.routes_of(body bytea) returns text[]
language sql immutable strict parallel safe
return (
    select array_agg(route order by place)
    from json_array_elements_text(
        substring(convert_from(body, 'UTF8') from '"routes":(\[[^]]*\])')::json
    ) with ordinality as t (route, place)
);
