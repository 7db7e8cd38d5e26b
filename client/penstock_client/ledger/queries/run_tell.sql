-- Let a steward look at the run $1 again.
insert into penstock.news (owner, subject) values ($1, $1) on conflict do nothing
