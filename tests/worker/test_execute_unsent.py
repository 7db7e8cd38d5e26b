"""Attempts that are not sent, and those that are stopped: nothing is lost, nothing called twice."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
import pytest

from penstock_client.spent import Spent
from penstock_schemas.status import AttemptState, ErrorKind, JobState
from penstock_schemas.usage import NO_USAGE, Usage
from penstock_worker.outcome import POISON_CRASHES
from tests.worker.test_execute import (
    EARLIER,
    MODEL,
    FakeSender,
    Unwatched,
    attempt,
    chat,
    cost,
    executor,
    lease,
    result_of,
    settled,
)


async def never_called() -> httpx.Response:
    """The sender of an attempt that must not be sent."""
    raise AssertionError("this attempt must not be sent")


# What is not sent at all.


@pytest.mark.parametrize("changes", [{"lost": True}, {"expires_in_s": 1}, {"expires_in_s": -1}])
async def test_execute_without_a_good_lease_gives_the_job_back(changes: dict[str, Any]) -> None:
    settlement, sender = await settled(never_called, attempt(lease=lease(**changes)))
    assert sender.sent == []
    assert (settlement.attempt_state, settlement.state) == (AttemptState.RETURNED, JobState.QUEUED)
    assert (settlement.charge, settlement.wait_ms, settlement.usage) == (False, 0, NO_USAGE)


async def test_execute_while_draining_gives_the_job_back_as_it_was() -> None:
    work = attempt(last_error=ErrorKind.LENGTH, spent=EARLIER)
    settlement, sender = await settled(never_called, work, draining=True)
    assert sender.sent == []
    assert (settlement.attempt_state, settlement.charge) == (AttemptState.RETURNED, False)
    assert settlement.error_kind is ErrorKind.LENGTH
    assert Spent.decode(settlement.spent) == EARLIER
    assert (settlement.provider, settlement.model) == ("openai", MODEL)


@pytest.mark.parametrize("body", [b"", b"\xff", b'{"version": 2, "routes": [], "job": {}}'])
async def test_execute_leaves_what_it_cannot_read_to_a_newer_worker(body: bytes) -> None:
    settlement, sender = await settled(never_called, attempt(body=body))
    assert sender.sent == []
    assert (settlement.attempt_state, settlement.state) == (
        AttemptState.RETURNED,
        JobState.DEFERRED,
    )
    assert settlement.wait_ms > 0 and not settlement.charge


@pytest.mark.parametrize(
    ("changes", "kind", "state"),
    [
        ({"crashes": POISON_CRASHES}, ErrorKind.POISON, JobState.FAILED),
        ({"lacks": "tokens"}, ErrorKind.BUDGET_EXCEEDED, JobState.FAILED),
        ({"deadline": datetime(2020, 1, 1, tzinfo=UTC)}, ErrorKind.EXPIRED, JobState.EXPIRED),
    ],
)
async def test_execute_refuses_what_must_not_be_called(
    changes: dict[str, Any], kind: ErrorKind, state: JobState
) -> None:
    settlement, sender = await settled(never_called, attempt(spent=EARLIER, **changes))
    result = result_of(settlement)
    assert sender.sent == []
    assert (settlement.attempt_state, settlement.state) == (AttemptState.RETURNED, state)
    assert result.error is not None and result.error.kind is kind
    assert (result.status, result.cost_usd) == (state, Decimal("0.5"))


async def test_execute_still_calls_a_job_whose_worker_was_lost_less_often() -> None:
    settlement, _ = await settled(chat(), attempt(crashes=POISON_CRASHES - 1))
    assert settlement.state is JobState.SUCCEEDED


# Stopped while it runs.


async def test_execute_cancelled_mid_call_is_abandoned_and_not_charged() -> None:
    called = asyncio.Event()

    async def hang() -> httpx.Response:
        called.set()
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    task = asyncio.create_task(settled(hang, attempt(spent=EARLIER)))
    await called.wait()
    task.cancel()
    settlement, _ = await task
    assert (settlement.attempt_state, settlement.state) == (
        AttemptState.ABANDONED,
        JobState.QUEUED,
    )
    assert (settlement.charge, settlement.error_kind) == (False, ErrorKind.INTERRUPTED)
    assert settlement.usage == Usage(input_tokens=1000, output_tokens=200, estimated=True)
    assert settlement.cost_usd == cost(1000, 200)
    assert Spent.decode(settlement.spent) == EARLIER.plus(settlement.usage, settlement.cost_usd)


async def test_execute_fails_a_job_for_good_when_penstock_itself_errs(
    caplog: pytest.LogCaptureFixture,
) -> None:
    settlement, _ = await settled(KeyError("oops"))
    result = result_of(settlement)
    assert (settlement.state, settlement.error_kind) == (JobState.FAILED, ErrorKind.INTERNAL)
    assert result.error is not None
    assert result.error.message == "KeyError in Penstock; please report it"
    assert "attempt.internal_error" in caplog.text


async def test_execute_says_of_a_job_that_had_ended_why_its_call_was_stopped() -> None:
    work = attempt()

    async def hang() -> httpx.Response:
        work.lease.stopped = True
        task.cancel()
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    task = asyncio.create_task(settled(hang, work))
    settlement, _ = await task
    assert settlement.attempt_state is AttemptState.ABANDONED
    assert settlement.error_message == "the job had ended while the call was under way"


async def test_execute_stopped_after_its_call_failed_has_failed_all_the_same() -> None:
    class Slow(Unwatched):
        async def failed(self, *_: object) -> None:
            task.cancel()
            await asyncio.Event().wait()

    refusal = httpx.Response(400, json={"error": {"message": "no"}})
    running = executor(FakeSender(refusal), observer=Slow()).run(attempt())
    task = asyncio.create_task(running)
    assert (await task).attempt_state is AttemptState.FAILED
