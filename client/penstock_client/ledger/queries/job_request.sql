-- What one job was asked: its envelope, while that is kept.
select body from penstock.payloads where job_id = $1
