"""What follows from an attempt."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from penstock_schemas.webhooks import DeliveryState
from penstock_worker.webhooks.schedule import DELAYS_S, Next, Outcome, after, of_status

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
FAILED = Outcome(status=500, problem="HTTP 500")


def test_after_success_is_delivered() -> None:
    assert after(Outcome(status=204), attempts=3, jitter=0) == Next(DeliveryState.DELIVERED)


@pytest.mark.parametrize(("attempts", "wait_s"), list(enumerate(DELAYS_S)))
def test_after_failure_waits_longer_each_time(attempts: int, wait_s: float) -> None:
    assert after(FAILED, attempts=attempts, jitter=0) == Next(DeliveryState.WAITING, wait_s)


def test_after_the_last_attempt_gives_up() -> None:
    assert after(FAILED, attempts=len(DELAYS_S), jitter=0).state is DeliveryState.GIVEN_UP


def test_attempts_span_more_than_a_day() -> None:
    assert 24 * 3600 < sum(DELAYS_S) < 48 * 3600


def test_jitter_only_lengthens() -> None:
    assert after(FAILED, attempts=1, jitter=1).wait_s == pytest.approx(1.2 * DELAYS_S[1])


def test_gone_gives_up_at_once() -> None:
    gone = of_status(410, retry_after=None, now=NOW)
    assert after(gone, attempts=0, jitter=0).state is DeliveryState.GIVEN_UP


@pytest.mark.parametrize(
    ("header", "wait_s"),
    [
        ("60", 60),
        ("2", DELAYS_S[0]),
        ("Sat, 21 Nov 2026 12:10:00 GMT", 600),
        ("Sat, 21 Nov 2026 11:00:00 GMT", DELAYS_S[0]),
        ("9999999999999999", 86_400),
        ("-5", DELAYS_S[0]),
        ("later", DELAYS_S[0]),
        ("", DELAYS_S[0]),
        (None, DELAYS_S[0]),
    ],
)
def test_retry_after_is_heeded_up_to_a_day(header: str | None, wait_s: float) -> None:
    outcome = of_status(503, retry_after=header, now=NOW)
    assert after(outcome, attempts=0, jitter=0) == Next(DeliveryState.WAITING, wait_s)


@pytest.mark.parametrize("status", [199, 301, 404, 429, 500, 599])
def test_other_statuses_are_failures(status: int) -> None:
    assert of_status(status, retry_after=None, now=NOW).problem is not None
