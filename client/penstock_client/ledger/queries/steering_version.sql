-- A number that changes with all that stewards write into the indexes.
select version from penstock.steering_version
