-- By how much a prompt beyond `long_context_above_tokens` raises a model's prices, at most.

alter table penstock.llm_models
    add column long_context_factor numeric not null default 2 check (long_context_factor >= 1);
