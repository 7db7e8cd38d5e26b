-- Note at rows of the backfill $1 what became of them: $2 numbers, $3 states, $4 jobs, $5 parts of
-- answers, $6 errors, $7 attempts, $8 input tokens, $9 output tokens, $10 cost.
update penstock.backfill_rows r
set state = t.state, job_id = t.job_id, answer = t.answer, error = t.error, attempts = t.attempts,
    input_tokens = t.input_tokens, output_tokens = t.output_tokens, cost_usd = t.cost_usd
from unnest($2::bigint[], $3::smallint[], $4::uuid[], $5::bytea[], $6::text[], $7::integer[],
            $8::integer[], $9::integer[], $10::numeric[])
    as t (number, state, job_id, answer, error, attempts, input_tokens, output_tokens, cost_usd)
where r.backfill = $1 and r.number = t.number
