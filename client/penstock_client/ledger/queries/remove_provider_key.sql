-- Forget a workspace's key for a provider. $1 workspace, $2 provider.
delete from penstock.provider_keys
where workspace_id = $1 and provider = $2
returning provider
