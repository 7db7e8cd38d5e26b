-- Record a backfill that is to be loaded; nothing where the workspace has one of this identity.
insert into penstock.backfills (
    id, workspace, name, identity, plan_key, plan, origin, webhook, trace, row_window,
    rows_per_call, dedupe, max_cost_usd, max_error_rate)
values ($1, $2, $3, $4, $5, $6::json, $7, $8, $9, $10, $11, $12, $13, $14)
on conflict (workspace, identity) where state <> 12 do nothing
returning id
