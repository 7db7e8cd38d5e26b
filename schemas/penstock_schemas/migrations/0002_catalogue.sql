-- The catalogue: providers and models as rows, for reports, for the API and for operators' edits.
--
-- `penstock migrate` seeds them from the packaged catalogue. `seeded` keeps what it wrote last, by
-- column: a column that still holds it follows the package, one that an operator has changed stays
-- as it is. A row that has left the package is kept. To switch a row off set `is_active` to false;
-- a deleted one comes back.

create table penstock.llm_providers (
    id                  uuid primary key default gen_random_uuid(),
    name                text not null unique,
    display_name        text not null,
    base_url            text not null,              -- {braces} mark what only the user knows
    auth_type           text not null default 'api_key'
        check (auth_type in ('api_key', 'oauth', 'custom')),
    wire                text not null default 'openai_chat',
    supported_features  jsonb not null default '[]', -- of streaming, function_calling, vision
    supports_embeddings boolean not null default false,
    is_local            boolean not null default false,
    is_active           boolean not null default true,
    seeded              jsonb not null default '{}',
    created_at          timestamptz not null default now(),
    updated_at          timestamptz not null default now()
);

-- Prices are US dollars per million tokens; null is unknown, which is not free.
create table penstock.llm_models (
    id                         uuid primary key default gen_random_uuid(),
    provider                   text not null references penstock.llm_providers (name),
    model_id                   text not null,       -- penstock_schemas.catalog.Model.name
    wire_id                    text not null,       -- what is sent to the provider
    display_name               text not null,
    kind                       text not null default 'chat' check (kind in ('chat', 'embedding')),
    context_window             integer check (context_window > 0),
    max_output_tokens          integer check (max_output_tokens > 0),
    dimensions                 integer check (dimensions > 0),
    input_usd_per_mtok         numeric check (input_usd_per_mtok >= 0),
    output_usd_per_mtok        numeric check (output_usd_per_mtok >= 0),
    cached_input_usd_per_mtok  numeric check (cached_input_usd_per_mtok >= 0),
    cache_write_usd_per_mtok   numeric check (cache_write_usd_per_mtok >= 0),
    long_context_above_tokens  integer check (long_context_above_tokens > 0),
    capabilities               jsonb not null default '[]', -- of json, reasoning, schema, tools, vision
    speed_tier                 text not null default 'standard'
        check (speed_tier in ('fast', 'standard', 'slow')),
    quality_tier               text not null default 'good'
        check (quality_tier in ('best', 'good', 'basic')),
    size_category              text not null default 'medium'
        check (size_category in ('tiny', 'small', 'medium', 'large', 'xl')),
    retires_on                 date,                -- from then on the provider does not answer for it
    is_active                  boolean not null default true, -- as of the last seeding
    seeded                     jsonb not null default '{}',
    created_at                 timestamptz not null default now(),
    updated_at                 timestamptz not null default now(),
    unique (provider, model_id)
);
