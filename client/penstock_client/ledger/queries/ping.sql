-- Whether Postgres answers.
select 1
