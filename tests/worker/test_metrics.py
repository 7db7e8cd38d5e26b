"""What a worker tells of its own work, and that it costs next to nothing."""

from __future__ import annotations

import socket
import timeit
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.request import urlopen

import pytest

from penstock_client import Classify, Penstock, Settings
from penstock_schemas.status import AttemptState, ErrorKind, JobState
from penstock_worker.attempts import Attempt, Settlement
from penstock_worker.metrics import MODELS, OTHER, WorkerMetrics, served
from penstock_worker.telemetry import Telemetry
from tests.worker.test_execute import JOB_ID, attempt

MODEL = "gpt-4o-mini"


def settlement(**fields: Any) -> Settlement:
    given: dict[str, Any] = {
        "attempt_state": AttemptState.SUCCEEDED,
        "state": JobState.SUCCEEDED,
        "duration_ms": 300,
    } | fields
    return Settlement(
        job_id=JOB_ID,
        number=1,
        fence=42,
        workspace="acme",
        provider="openai",
        model=MODEL,
        cost_usd=Decimal(0),
        **given,
    )


def metrics(in_flight: int = 0) -> WorkerMetrics:
    return WorkerMetrics("openai", slots=20, in_flight=lambda: in_flight)


def value(told: WorkerMetrics, name: str, **labels: str) -> float | None:
    return told.registry.get_sample_value(
        f"penstock_worker_{name}", {"provider": "openai"} | labels
    )


def test_metrics_count_attempts_by_model_and_outcome() -> None:
    told = metrics()
    told.ended(attempt(), settlement())
    told.ended(attempt(), settlement())
    assert value(told, "attempts_total", model=MODEL, outcome="succeeded") == 2


def test_metrics_count_errors_by_kind() -> None:
    told = metrics()
    failed = settlement(attempt_state=AttemptState.FAILED, error_kind=ErrorKind.RATE_LIMITED)
    told.ended(attempt(), failed)
    assert value(told, "errors_total", kind="rate_limited") == 1
    assert value(told, "attempts_total", model=MODEL, outcome="failed") == 1


def test_metrics_count_no_error_for_what_was_given_back() -> None:
    told = metrics()
    back = settlement(
        attempt_state=AttemptState.RETURNED, error_kind=ErrorKind.RATE_LIMITED, duration_ms=None
    )
    told.ended(attempt(), back)
    assert value(told, "errors_total", kind="rate_limited") is None


def test_metrics_time_calls_in_buckets() -> None:
    told = metrics()
    told.ended(attempt(), settlement(duration_ms=300))
    assert value(told, "call_seconds_bucket", model=MODEL, le="0.2") == 0
    assert value(told, "call_seconds_bucket", model=MODEL, le="0.5") == 1


def test_metrics_do_not_time_what_was_never_sent() -> None:
    told = metrics()
    told.ended(attempt(), settlement(attempt_state=AttemptState.RETURNED, duration_ms=9))
    assert value(told, "call_seconds_count", model=MODEL) is None
    assert value(told, "attempts_total", model=MODEL, outcome="returned") == 1


def test_metrics_time_the_wait_of_a_first_attempt_only() -> None:
    told, now = metrics(), datetime.now(UTC)
    told.started(replace(attempt(), number=1, created_at=now))
    told.started(replace(attempt(), number=2, created_at=now))
    assert value(told, "queue_wait_seconds_count") == 1


def test_metrics_count_lost_leases() -> None:
    told, lost = metrics(), attempt()
    lost.lease.lost = True
    told.ended(lost, settlement())
    assert value(told, "leases_lost_total") == 1


def test_metrics_bound_the_models() -> None:
    told = metrics()
    for n in range(2 * MODELS):
        told.ended(replace(attempt(), model=f"made-up-{n}"), settlement())
    found = {
        sample.labels["model"]
        for metric in told.registry.collect()
        for sample in metric.samples
        if "model" in sample.labels
    }
    assert len(found) == MODELS + 1
    assert value(told, "attempts_total", model=OTHER, outcome="succeeded") == MODELS


async def test_served_metrics_are_answered_on_loopback() -> None:
    async with served(metrics(in_flight=7).registry, name="x", host="127.0.0.1", port=0) as port:
        with urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            assert 'penstock_worker_in_flight{provider="openai"} 7.0' in answer.read().decode()


async def test_served_metrics_do_without_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with served(metrics().registry, name="x", host="127.0.0.1", port=port) as found:
            assert found is None


def test_telemetry_leaves_parts_alone_where_nobody_looks_on() -> None:
    nobody = Telemetry(None, None)

    async def run(_: Attempt) -> Settlement:
        raise NotImplementedError

    assert nobody.around(run) is run


def test_metrics_cost_a_job_little() -> None:
    """Printed and asserted with room for a machine that is busy: it is about 3 us alone."""
    told, job, end = metrics(), attempt(number=1), settlement()

    def one() -> None:
        told.started(job)
        told.ended(job, end)

    best_us = min(timeit.repeat(one, number=10_000, repeat=5)) / 10_000 * 1e6
    print(f"{best_us:.2f} us")
    assert best_us < 25


async def test_worker_tells_of_the_jobs_it_ran(
    penstock: Penstock,
    empty: Settings,
    work_for: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[WorkerMetrics] = []

    class Caught(WorkerMetrics):
        def __init__(self, *args: Any, **given: Any) -> None:
            super().__init__(*args, **given)
            made.append(self)

    monkeypatch.setattr("penstock_worker.telemetry.WorkerMetrics", Caught)
    monkeypatch.setattr(empty, "metrics_port", 0)
    await work_for("openai")
    jobs = [
        Classify(workspace="acme", text=f"t {n}", labels=("a", "b"), model=f"openai/{MODEL}")
        for n in range(4)
    ]
    results = [result async for result in penstock.map(jobs)]
    assert all(result.ok for result in results)
    (told,) = made
    assert value(told, "attempts_total", model=MODEL, outcome="succeeded") == 4
    assert value(told, "queue_wait_seconds_count") == 4
    assert value(told, "claimed_total") == 4
    assert value(told, "settle_group_size_sum") == 4
    assert (value(told, "ledger_seconds_count", statement="settle") or 0) >= 1
