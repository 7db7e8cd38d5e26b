"""The hash of a job's system prompt in the record, and the counts of its cache hits."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from penstock_client import Penstock, UnknownWorkspace
from penstock_client.ledger import Ledger, NewJob
from penstock_schemas.jobs import Generate
from penstock_schemas.status import AttemptState, JobState
from penstock_schemas.system_prompt import system_hash
from penstock_schemas.usage import Usage
from penstock_worker.attempts import Settlement, open_attempts, settle
from tests.ledger.making import PROVIDER, lease_of, new_job, row, settlement_of

EARLIER = datetime.now(UTC) - timedelta(days=1)
ONE, TWO = "1" * 16, "2" * 16
MISS = Usage(input_tokens=100, output_tokens=1, cache_write_tokens=80)
HIT = Usage(input_tokens=120, output_tokens=1, cache_read_tokens=80)
PLAIN = Usage(input_tokens=10, output_tokens=1)


async def called(
    ledger: Ledger, *calls: tuple[NewJob, Usage], state: AttemptState = AttemptState.SUCCEEDED
) -> None:
    """Record jobs, and one call for each with this usage."""
    jobs = [job for job, _ in calls]
    await ledger.submit(jobs)
    leases = [lease_of(job, 1) for job in jobs]
    await open_attempts(ledger, leases, provider=PROVIDER, worker="w")
    ended = [settlement_of(job, usage=usage, attempt_state=state) for job, usage in calls]
    await settle(ledger, [_unpaid(settled) for settled in ended])


def _unpaid(settled: Settlement) -> Settlement:
    if settled.attempt_state is not AttemptState.RETURNED:
        return settled
    return replace(settled, state=JobState.QUEUED, result=None)


async def test_submit_records_the_hash_of_each_job(ledger: Ledger, db: asyncpg.Connection) -> None:
    hashed, plain = new_job(system_hash=ONE), new_job()
    await ledger.submit([hashed, plain])
    assert (await row(db, hashed))["system_hash"] == ONE
    assert (await row(db, plain))["system_hash"] is None


async def test_counts_are_by_system_prompt(ledger: Ledger) -> None:
    await called(
        ledger,
        (new_job(system_hash=ONE), MISS),
        (new_job(system_hash=ONE), HIT),
        (new_job(system_hash=TWO), MISS),
    )
    one, two = await ledger.prompt_cache("acme", EARLIER)
    assert (one["system_hash"], one["calls"], one["hits"]) == (ONE, 2, 1)
    assert (one["input_tokens"], one["read_tokens"], one["written_tokens"]) == (220, 80, 80)
    assert one["first_used_at"] <= one["last_used_at"]
    assert (two["system_hash"], two["calls"], two["hits"]) == (TWO, 1, 0)


async def test_jobs_without_a_hash_are_one_line_where_their_provider_cached(
    ledger: Ledger,
) -> None:
    await called(ledger, (new_job(), PLAIN), (new_job(), HIT))
    (line,) = await ledger.prompt_cache("acme", EARLIER)
    assert (line["system_hash"], line["calls"], line["hits"]) == (None, 2, 1)


async def test_jobs_without_a_hash_or_a_hit_are_no_line(ledger: Ledger) -> None:
    await called(ledger, (new_job(), PLAIN))
    assert await ledger.prompt_cache("acme", EARLIER) == []


@pytest.mark.parametrize("usage", [Usage(), Usage(input_tokens=9, estimated=True)])
async def test_calls_without_figures_do_not_count(ledger: Ledger, usage: Usage) -> None:
    await called(ledger, (new_job(system_hash=ONE), usage))
    assert await ledger.prompt_cache("acme", EARLIER) == []


async def test_calls_that_were_never_sent_do_not_count(ledger: Ledger) -> None:
    await called(ledger, (new_job(system_hash=ONE), MISS), state=AttemptState.RETURNED)
    assert await ledger.prompt_cache("acme", EARLIER) == []


async def test_counts_are_of_one_workspace_or_of_all(ledger: Ledger) -> None:
    await called(ledger, (new_job(system_hash=ONE), HIT), (new_job("b", system_hash=ONE), HIT))
    (own,) = await ledger.prompt_cache("acme", EARLIER)
    (every,) = await ledger.prompt_cache(None, EARLIER)
    assert (own["calls"], every["calls"]) == (1, 2)


async def test_counts_begin_at_a_time(ledger: Ledger) -> None:
    await called(ledger, (new_job(system_hash=ONE), HIT))
    assert await ledger.prompt_cache("acme", datetime.now(UTC) + timedelta(minutes=1)) == []


# As a producer meets it.


async def test_submitted_job_carries_the_hash_of_its_instructions(penstock: Penstock) -> None:
    job = Generate(workspace="acme", prompt="hi", system="rules", cache_system=True)
    handle = await penstock.submit(job)
    found = await penstock.ledger.pool.fetchval(
        "select system_hash from penstock.jobs where id = $1", handle.job_id
    )
    assert found == system_hash(job) is not None


async def test_use_has_what_was_saved_by_the_catalogues_prices(penstock: Penstock) -> None:
    (model,) = [m for m in penstock.catalog.models if m.ref == "openai/gpt-4o"]
    price, cached = model.input_usd_per_mtok, model.cached_input_usd_per_mtok
    assert price is not None
    assert cached is not None
    await called(penstock.ledger, (new_job(system_hash=ONE, model="gpt-4o"), HIT))
    (use,) = await penstock.prompt_cache("acme", since=EARLIER)
    assert use.saved_usd == 80 * (price - cached) / 1_000_000
    assert (use.hit_rate, use.simulated) == (1, False)


async def test_use_of_a_model_without_prices_saves_nobody_knows_what(penstock: Penstock) -> None:
    await called(penstock.ledger, (new_job(system_hash=ONE), HIT))
    (use,) = await penstock.prompt_cache(None, since=EARLIER)
    assert use.saved_usd is None


async def test_use_of_an_unknown_workspace_is_refused(penstock: Penstock) -> None:
    with pytest.raises(UnknownWorkspace):
        await penstock.prompt_cache("nowhere", since=EARLIER)
