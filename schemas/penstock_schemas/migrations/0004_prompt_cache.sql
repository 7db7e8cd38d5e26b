-- Which system prompt a job asked its provider to cache, so that its hits can be counted.

-- penstock_schemas.system_prompt.system_hash; null where the job did not ask.
alter table penstock.jobs add column system_hash text;
