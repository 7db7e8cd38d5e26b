-- What operators have paused, the oldest first; a provider * is every one.
select provider, scope, reason, since from penstock.pauses order by since, provider, scope
