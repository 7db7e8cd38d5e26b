-- Keep other writers out of the catalogue until this transaction ends, so that no edit is lost
-- between the comparison and the write of a seeding. Readers go on.
lock table penstock.llm_providers, penstock.llm_models in share row exclusive mode
